"""What the lines of each file of records hold, and what of a line goes into its index."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from selfreward import store
from selfreward.prompts import Attempt
from selfreward.records import Example, Judgement, Pair, Prompt, RankedSet, Record, digest
from selfreward.responses import Responses

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """What is known of a line without reading it."""

    id: str
    prompt_id: str  # of the prompt that it is about
    words: str  # what is searched
    value: float | None = None  # what it can be ordered by: the score of a judgement, the margin of a pair
    is_odd: bool = False  # whether it is one of those that a person looks for


@dataclass(frozen=True)
class Kind:
    """One sort of files."""

    name: str
    record: type[Record] | None  # None: lines are shown as they are
    entry: Callable[[Row], Entry]
    searched: str = "texts"  # what the words of an entry are, for a person
    value: str | None = None  # what `value` is
    odd: str | None = None  # what `is_odd` is


def _attempt(row: Row) -> Entry:
    return Entry(row["id"], digest("prompt", row["text"].strip()), row["text"], is_odd=not row["finished"])


def _prompt(row: Row) -> Entry:
    return Entry(row["id"], row["id"], row["text"])


def _responses(row: Row) -> Entry:
    samples = row["samples"]
    words = [samples[0]["prompt"], *(one["text"] for one in samples)] if samples else []
    return Entry(row["id"], row["id"], "\n".join(words), is_odd=not all(one["finished"] for one in samples))


def _judgement(row: Row) -> Entry:
    words = "\n".join(vote["text"] for vote in row["votes"])
    return Entry(row["id"], row["prompt_id"], words, row["score"], row["coverage"] < 1)


def _pair(row: Row) -> Entry:
    words = f"{row['prompt']}\n{row['chosen']}\n{row['rejected']}"
    return Entry(row["id"], row["prompt_id"], words, row["margin"])


def _example(row: Row) -> Entry:
    return Entry(row["id"], row["id"], f"{row['prompt']}\n{row['response']}")


def _any(row: Row) -> Entry:
    return Entry(str(row.get("id", "")), str(row.get("prompt_id", "")), "\n".join(_texts(row)))


def _texts(value: object) -> Iterator[str]:
    """All texts in a line, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _ranked(row: Row) -> Entry:
    return Entry(row["id"], row["id"], "\n".join([row["prompt"], *(one["text"] for one in row["responses"])]))


_ATTEMPTS = Kind("attempts", Attempt, _attempt, odd="cut off")
_PROMPTS = Kind("prompts", Prompt, _prompt)
_RESPONSES = Kind("responses", Responses, _responses, "prompts and responses", odd="with one that was cut off")
_JUDGEMENTS = Kind("judgements", Judgement, _judgement, "the judge's words", "score", "with votes that cannot be read")
_PAIRS = Kind("pairs", Pair, _pair, "prompts and responses", "margin")
_EXAMPLES = Kind("examples", Example, _example)
_RANKED = Kind("ranked sets", RankedSet, _ranked)
_OTHER = Kind("lines", None, _any)

# By the name of a file; in the order in which a person looks at them.
KINDS: dict[str, Kind] = {
    store.PAIRS_FILE: _PAIRS,
    store.JUDGEMENTS_FILE: _JUDGEMENTS,
    store.RESPONSES_FILE: _RESPONSES,
    store.PROMPTS_FILE: _PROMPTS,
    store.ATTEMPTS_FILE: _ATTEMPTS,
    store.EVAL_RESPONSES_FILE: _RESPONSES,
    store.EVAL_JUDGEMENTS_FILE: _JUDGEMENTS,
    store.IFT_FILE: _EXAMPLES,
    store.EFT_FILE: _EXAMPLES,
    store.EFT_JUDGEMENTS_FILE: _JUDGEMENTS,
    store.RANKED_FILE: _RANKED,
    store.EVAL_SEED_FILE: _RANKED,
    store.SELF_RANKED_FILE: _RANKED,
    store.VALIDATION_SEED_FILE: _RANKED,
    store.VALIDATION_RESPONSES_FILE: _RESPONSES,
    store.VALIDATION_JUDGEMENTS_FILE: _JUDGEMENTS,
}


def kind_of(name: str) -> Kind:
    """What the lines of a file of this name hold."""
    others_responses = store.OTHERS_RESPONSES_FILE.format(model="*")
    return KINDS.get(name) or (_RESPONSES if fnmatch(name, others_responses) else _OTHER)
