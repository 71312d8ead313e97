"""Names and numbers as a reader meets them: models, reasons, shares, intervals, times."""

from collections.abc import Mapping
from typing import Any

NOTHING = "–"

REASONS = {
    "unfinished": "cut off at the limit of tokens",
    "too_short": "too few words",
    "too_long": "too long",
    "unservable": "asks for what text cannot give",
    "programming": "asks for a program",
    "odd_start": "begins with an odd character",
    "in_seed": "in the seed or an earlier round",
    "held_out": "reserved for measuring",
    "duplicate": "written twice",
    "similar": "too similar to an earlier one",
    "not_needed": "more than needed",
    "tie": "equal scores",
    "too_few_scored": "fewer than two scored responses",
    "small_margin": "scores too close",
    "identical_text": "equal texts",
    "no_majority": "no answer was given often enough",
    "unreadable": "without a verdict",
    "truncated": "cut off before the verdict",
    "out_of_range": "a score outside of 0 to 5",
    "refused": "refused by the server",
    "unscored": "without a score",
    "of_cut_responses": "of which the judge saw only the beginning",
}


def model(name: str) -> str:
    """A model's name in a sentence: SFT, M1, M2 ..."""
    return name.upper()


def against(name: str) -> str:
    """A model as the opponent in a sentence."""
    return "the SFT baseline" if name == "sft" else model(name)


def reason(name: str) -> str:
    """Why something was left out."""
    return REASONS.get(name, name.replace("_", " "))


def number(value: float | None, decimals: int = 0, scale: float = 1) -> str:
    """A number with its thousands apart and a true minus sign; a dash for none."""
    return NOTHING if value is None else f"{scale * value:,.{decimals}f}".replace("-", "−")


def interval(found: Mapping[str, Any] | None, decimals: int, scale: float = 1, key: str = "ci95") -> str:
    """`4.44 to 4.53`; empty where there is none."""
    ends = (found or {}).get(key)
    return f"{number(ends[0], decimals, scale)} to {number(ends[1], decimals, scale)}" if ends else ""


def mean_of(found: Any) -> float | None:
    """The number of {mean or value, ci95, n}, or a bare one."""
    if isinstance(found, Mapping):
        found = found.get("mean", found.get("value"))
    return float(found) if isinstance(found, int | float) else None


def estimate(found: Any, decimals: int, scale: float = 1) -> str:
    """`4.48 (4.44 to 4.53)`: a number and its 95 % interval, where it has one."""
    value = number(mean_of(found), decimals, scale)
    ends = interval(found, decimals, scale) if isinstance(found, Mapping) else ""
    return f"{value} ({ends})" if ends and value != NOTHING else value


def duration(seconds: float) -> str:
    """`45 s`, `12 min 30 s`, `3 h 5 min`."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def counted(num: float, thing: str) -> str:
    """`1 response`, `2 responses`."""
    return f"{number(num)} {thing}{'' if num == 1 else 's'}"


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
