"""What the commands of `selfreward eval` print: figures with their intervals, what was left out, the paper's beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from selfreward.evaluation.kinds import PARTS
from selfreward.report.cells import NOTHING, add_row, new_table, number, plain, widen
from selfreward.report.paper_figures import ALPACA_EVAL, HEAD_TO_HEAD


def render_head_to_head(found: Mapping[str, Any], console: Console) -> None:
    """The table of one match, the paper's figures where it has the pair, and what the figures leave out."""
    one, two = found.get("models") or ("model 1", "model 2")
    paper = _of_paper(one, two)
    rows = [
        (name, str(found[count]), number(found[name], 1), _interval(found[f"{name}_ci95"]), number(theirs, 1))
        for (name, count), theirs in zip((("win", "wins"), ("tie", "ties"), ("lose", "losses")), paper, strict=True)
    ]
    net = None if paper[0] is None or paper[2] is None else paper[0] - paper[2]
    rows.append(("net", "", number(found["net"], 1), _interval(found["ci95"]), number(net, 1)))
    rows.append(("net, prompts resampled", "", number(found["net"], 1), _interval(found["bootstrap_ci95"]), ""))
    columns = ("prompts", "%", "95 % interval", "the paper's %")
    _show(console, f"{one} against {two}", columns if net is not None else columns[:3], rows)
    kinds = [
        (f"{part.replace('_', ' ')}: {name}", str(of["n"]), _shares([of[share] for share in ("win", "tie", "lose")]),
         number(of["net"], 1), _interval(of["ci95"]))
        for part in PARTS
        for name, of in (found.get(f"by_{part}") or {}).items()
    ]  # fmt: skip
    if kinds:
        _show(console, "By kind of prompt", ("prompts", "win / tie / lose %", "net", "95 % interval"), kinds)
    _say(console, *_notes(found))


def render_matches(results: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A line for each match, the paper's figures beside it where it has the pair."""
    columns = ("win / tie / lose %", "net", "95 % interval", "prompts", "longer won %", "paper: win / tie / lose %")
    rows = [
        (
            " v ".join(found["models"]),
            _shares([found[name] for name in ("win", "tie", "lose")]),
            number(found["net"], 1),
            _interval(found["ci95"]),
            f"{found['n']} of {found['prompts']}",
            number(found["longer_wins"]["value"], 1, 100),
            _shares(_of_paper(*found["models"])),
        )
        for found in results
    ]
    _show(console, "Head to head", columns, rows)
    for judge in dict.fromkeys(found["judge"]["judge"] for found in results):
        _say(console, f"Judge: {judge}. The paper's models are Llama 2 70B, judged by GPT-4.")


def _of_paper(one: str, two: str) -> tuple[float | None, float | None, float | None]:
    """Win, tie, lose of two models that are named as the paper's are."""
    return HEAD_TO_HEAD.get((one.rpartition("/")[2], two.rpartition("/")[2])) or (None, None, None)


def _shares(values: Sequence[float | None]) -> str:
    return " / ".join(number(value, 1) for value in values) if any(value is not None for value in values) else NOTHING


def _notes(found: Mapping[str, Any]) -> list[str]:
    """What else is to be known of a match, a line for each."""
    notes = [f"{found['n']} of {found['prompts']} prompts judged, {found['missing']} missing."]
    if found.get("faults"):
        notes.append(f"Could not be read: {', '.join(f'{count} {fault}' for fault, count in found['faults'].items())}.")
    if "position_bias" in found:
        notes[0] = f"{notes[0][:-1]}: {found['unreadable']} unreadable, {found['one_order']} judged in one order alone."
        notes.append(f"On {found['disagree']} of the ties the two orders disagree.")
        notes.append(
            f"The answer shown first was preferred in {_share(found['position_bias'])}; 50 if places did not matter."
        )
    if "longer_wins" in found:
        one, two = found["mean_length"]
        notes.append(
            f"The longer answer won in {_share(found['longer_wins'])}; they have {one:.0f} and {two:.0f} characters on average."
        )
        notes.append(
            f"{found['identical']} pairs say the same; empty answers: {found['empty'][0]} and {found['empty'][1]}."
        )
        notes.append(f"Judge: {found['judge']['judge']}.")
    return notes


def render_alpaca(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A line for each model, then the paper's, then what is not as it should be in the annotations."""
    ours = [
        (
            str(row["model"] or "the model"),
            number(row["win_rate"], 2),
            number(row["standard_error"], 2),
            number(row.get("length_controlled_winrate"), 2),
            number(row["discrete_win_rate"], 2),
            f"{row['n_wins']} / {row['n_draws']} / {row['n_wins_base']}",
            str(row["avg_length"]),
        )
        for row in rows
    ]
    theirs = [
        (f"paper: {name}", number(rate, 2), "", "", "", "", "" if length is None else str(length))
        for name, (rate, length) in ALPACA_EVAL.items()
    ]
    columns = ("win rate %", "standard error", "length-controlled %", "discrete %", "won / drawn / lost", "characters")
    against = rows[0]["reference"] or "the reference"
    _show(console, f"AlpacaEval against {against}", columns, [*ours, *theirs])
    _say(
        console,
        "The paper's rows are against GPT-4 Turbo and judged by it: those of another judge do not compare with them.",
    )
    for row in rows:
        notes = [f"{row[name]} {what}" for name, what in _ODD.items() if row[name]]
        _say(console, f"{row['model'] or 'The model'}, judged by {row['annotator'] or 'nobody named'}: {row['n_total']} rows"
             + (f"; {', '.join(notes)}." if notes else "."))  # fmt: skip
        control = row.get("length_control")
        if control and control["formula"] != "length_controlled_v1":
            _say(
                console, f"Its length-controlled rate is {control['formula']}, not the leaderboard's: see --difficulty."
            )


_ODD = {
    "no_preference": "without a preference, left out",
    "repeated": "whose instruction stood before, counted again",
    "empty_outputs": "empty outputs",
}


def _show(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a column of names, then figures."""
    table = new_table(title, "", columns)
    for row in rows:
        add_row(table, *row[: len(columns) + 1])
    widen(console)
    console.print(table)


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(plain(line), soft_wrap=True)


def _share(found: Mapping[str, Any]) -> str:
    return f"{number(found['value'], 1, 100)} % ({_interval(found['ci95'], 100)})"


def _interval(found: Sequence[float] | None, scale: float = 1) -> str:
    return NOTHING if found is None else f"{scale * found[0]:.1f} to {scale * found[1]:.1f}"
