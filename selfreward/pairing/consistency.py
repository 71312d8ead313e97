"""Votes by agreement: the answer that most responses give against the one that fewest give (Prasad et al. 2024, arXiv 2411.04109).

What an answer is depends on the task. By default it is the whole response, without regard to case, spaces and full stops;
`last_number` and `last_line` are for tasks that end in one.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from selfreward.pairing.base import Pairing, make_pair
from selfreward.records import Pair, Response, digest

Answer = Callable[[str], str]  # what a response answers; "" for nothing


def whole(response: str) -> str:
    """The words of a response."""
    return " ".join(re.findall(r"\w+|[^\w\s.]", response.lower()))


def last_line(response: str) -> str:
    """The words of the last line that has any."""
    return next((words for line in reversed(response.splitlines()) if (words := whole(line))), "")


def last_number(response: str) -> str:
    """The last number, without separators of thousands."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?", response.replace(",", ""))
    return numbers[-1] if numbers else ""


ANSWERS: dict[str, Answer] = {"whole": whole, "last_line": last_line, "last_number": last_number}


def most_vs_least_consistent(
    responses: Sequence[Response], answer: Answer, least_share: float, seed: int = 0
) -> Pairing:
    """One pair a prompt: a response with the commonest answer against one with the rarest; scores are shares of the votes.

    The weight of a pair is the difference of the shares (equation 3). A prompt is dropped where no answer has `least_share`
    of the votes, or all have the same number. Responses to one prompt stand in a row.
    """
    counts: Counter[str] = Counter({"prompts": 0, "pairs": 0, "tie": 0, "no_majority": 0})
    pairs: list[Pair] = []
    for prompt_id, group in groupby(responses, key=lambda response: response.prompt_id):
        samples = sorted(group, key=lambda response: digest("tie", seed, response.id))
        votes = Counter(found for one in samples if (found := answer(one.text)))
        counts["prompts"] += 1
        shares = {one.id: votes[answer(one.text)] / len(samples) for one in samples}
        best = max(samples, key=lambda one: shares[one.id])
        worst = min(samples, key=lambda one: shares[one.id])
        if shares[best.id] == shares[worst.id]:
            counts["tie"] += 1
        elif shares[best.id] < least_share:
            counts["no_majority"] += 1
        else:
            sides = [(one.id, one.text, shares[one.id]) for one in (best, worst)]
            pairs.append(make_pair((prompt_id, best.prompt), sides[0], sides[1], shares[best.id] - shares[worst.id]))
    counts["pairs"] = len(pairs)
    return Pairing(pairs, dict(counts))
