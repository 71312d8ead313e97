"""Which of the data become seeds: what cannot be used is left out, each under its reason, and of the rest some are chosen.

A choice goes by a hash of the prompt, not by place: files are often sorted by topic, source or date, and the same data in
another order, form or file give the same seeds; more of them hold fewer of them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from selfreward.records import Example, RankedResponse, RankedSet, digest

T = TypeVar("T", Example, RankedSet)


def normal(text: str) -> str:
    """A text without letter case and spacing: what two prompts have in common that count as one."""
    return " ".join(text.lower().split())


def usable_examples(found: Iterable[Example | RankedSet], max_chars: int) -> tuple[list[Example], Counter[str]]:
    """The pairs that can be imitated, no prompt twice, and the counts of the others. Of a ranked set it is rank 0."""
    counts: Counter[str] = Counter()
    examples = []
    for one in found:
        pair = one if isinstance(one, Example) else _best(one)
        if pair is None:
            counts["no_rank_0"] += 1
        elif not pair.prompt or not pair.response:
            counts["empty"] += 1
        elif len(pair.prompt) + len(pair.response) > max_chars:
            counts["too_long"] += 1
        else:
            examples.append(pair)
    return _distinct(examples, counts), counts


def _best(ranked: RankedSet) -> Example | None:
    """The prompt with its response of rank 0; of several, which one is settled by their texts."""
    best = [response.text for response in ranked.responses if response.rank == 0]
    if not best:
        return None
    text = min(best, key=digest)
    return Example(id=digest("ift", ranked.prompt), prompt=ranked.prompt, response=text, source="ift")


def usable_sets(found: Iterable[Example | RankedSet], max_chars: int) -> tuple[list[RankedSet], Counter[str]]:
    """The sets of two or more responses that people did not all rank equal, no prompt twice, and the counts of the others.

    Responses are left out one by one (`responses_...` in the counts): the ranks of the others still hold.
    """
    counts: Counter[str] = Counter()
    sets = []
    for one in found:
        if not isinstance(one, RankedSet):
            continue
        responses = _usable_responses(one, max_chars, counts)
        if not one.prompt:
            counts["empty"] += 1
        elif len(one.prompt) >= max_chars:
            counts["too_long"] += 1
        elif len(responses) < 2:
            counts["too_few_responses"] += 1
        elif len({response.rank for response in responses}) < 2:
            counts["all_tied"] += 1
        else:
            sets.append(one.model_copy(update={"responses": tuple(responses)}))
    return _distinct(sets, counts), counts


def _usable_responses(ranked: RankedSet, max_chars: int, counts: Counter[str]) -> list[RankedResponse]:
    """The responses with a text of their own; where one text has several ranks, none of them can be believed."""
    ranks: defaultdict[str, list[int]] = defaultdict(list)
    kept = []
    for response in ranked.responses:
        if not response.text:
            counts["responses_empty"] += 1
        elif len(ranked.prompt) + len(response.text) > max_chars:
            counts["responses_too_long"] += 1
        else:
            ranks[normal(response.text)].append(response.rank)
            kept.append(response)
    distinct = []
    for response in kept:
        same = ranks[normal(response.text)]
        if len(set(same)) > 1:
            counts["responses_contradictory"] += 1
        elif same:
            distinct.append(response)
            same.clear()
        else:
            counts["responses_duplicate"] += 1
    return distinct


def _distinct(items: Sequence[T], counts: Counter[str]) -> list[T]:
    """One of each prompt; of several, which one is settled by what they say."""
    kept: dict[str, T] = {}
    for item in sorted(items, key=lambda item: digest(item.model_dump_json())):
        kept.setdefault(normal(item.prompt), item)
    counts["duplicate"] += len(items) - len(kept)
    return list(kept.values())


def without(items: Sequence[T], prompts: Collection[str], fate: str, counts: Counter[str]) -> list[T]:
    """The items whose prompt is not among `prompts`, which are in normal form; the others meet `fate`."""
    kept = [item for item in items if normal(item.prompt) not in prompts]
    counts[fate] += len(items) - len(kept)
    return kept


def choose(items: Sequence[T], num: int, counts: Counter[str], *key: object) -> list[T]:
    """At most `num` of the items, in an order that `key` and the prompts alone settle."""
    chosen = sorted(items, key=lambda item: digest(*key, normal(item.prompt)))[:num]
    counts["used"] += len(chosen)
    counts["not_needed"] += len(items) - len(chosen)
    return chosen
