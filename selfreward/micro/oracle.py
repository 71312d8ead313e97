"""The truth about a response: five additive points, in the manner of the paper's rubric (section 2.2).

1 subject   on the topic; the given words; the right town
2 form      well formed, nothing said twice
3 amount    the asked length or count; for facts, a value of the asked kind
4 content   the required word is there and the forbidden one is not; the order is right; the fact is true
5 ending    the asked last mark, or any mark where none is asked for
"""

import re
from dataclasses import dataclass

from selfreward.micro.almanac import fact
from selfreward.micro.tasks import Task
from selfreward.micro.words import ATTRIBUTES, CONTENT, KIND, MARKS, TOPIC_OF

NUM_POINTS = 5


@dataclass(frozen=True)
class Check:
    """One of the five points: what was looked at, and whether it holds."""

    name: str
    holds: bool
    seen: str = ""  # what the response has, in a word: a subject, a number, a value


def score(task: Task, response: str) -> int:
    """Points of a response, 0 to 5."""
    return sum(check.holds for check in checks(task, response))


def checks(task: Task, response: str) -> tuple[Check, ...]:
    """The five checks of a response, in the rubric's order."""
    body, mark = (response[:-1], response[-1]) if response[-1:] in MARKS else (response, "")
    ending = Check("ending", mark == task.ending if task.ending else mark != "", mark)
    check = {"sentence": _check_sentence, "list": _check_list, "order": _check_order, "fact": _check_fact}[task.family]
    return (*check(task, body), ending)


# determiner [adjective] noun (action | deed determiner [adjective] noun) [adverb] [preposition determiner [adjective] noun]
_CLAUSE = re.compile(r"da?n(?:i|tda?n)v?(?:pda?n)?")
_LETTER = {
    "determiner": "d", "adjective": "a", "noun": "n", "action": "i", "deed": "t", "adverb": "v", "preposition": "p",
}  # fmt: skip


def _check_sentence(task: Task, body: str) -> tuple[Check, ...]:
    words = body.split(" ")
    lowered = [words[0].lower(), *words[1:]]
    letters = "".join(_LETTER.get(KIND.get(word, ""), "x") for word in lowered)
    content = [word for word in lowered if word in CONTENT]
    subject = next((word for word in lowered if word in TOPIC_OF), "nothing")
    well_formed = bool(_CLAUSE.fullmatch(letters)) and words[0][:1].isupper() and len(set(content)) == len(content)
    return (
        Check("subject", TOPIC_OF.get(subject) == task.topic, subject),
        Check("form", well_formed),
        Check("amount", task.count is None or len(words) == task.count, str(len(words))),
        Check("content", task.include is None or task.include in lowered),
    )


def _items(body: str) -> tuple[list[str], bool]:
    """The items of "List: a, b, c" and whether the form is right and no item stands twice."""
    items = [item.strip() for item in body.removeprefix("List:").split(",")]
    well_formed = body == "List: " + ", ".join(items) and all(item in KIND for item in items)
    return items, well_formed and len(set(items)) == len(items)


def _check_list(task: Task, body: str) -> tuple[Check, ...]:
    items, well_formed = _items(body)
    strangers = [item for item in items if TOPIC_OF.get(item) != task.topic]
    included = task.include is None or task.include in items
    return (
        Check("subject", not strangers, strangers[0] if strangers else ""),
        Check("form", well_formed),
        Check("amount", task.count is None or len(items) == task.count, str(len(items))),
        Check("content", included and (task.leave_out is None or task.leave_out not in items)),
    )


def _check_order(task: Task, body: str) -> tuple[Check, ...]:
    items, well_formed = _items(body)
    wanted = list(reversed(task.words)) if task.reverse else list(task.words)
    strangers = [item for item in items if item not in task.words]
    return (
        Check("subject", not strangers, strangers[0] if strangers else ""),
        Check("form", well_formed),
        Check("amount", len(items) == len(wanted), str(len(items))),
        Check("content", items == wanted),
    )


_STATEMENT = re.compile(r"The (\w+) of (\w+) is (\w+)")


def _check_fact(task: Task, body: str) -> tuple[Check, ...]:
    match = _STATEMENT.fullmatch(body)
    attribute, town, value = match.groups() if match else ("", "", "")
    assert task.attribute is not None and task.town is not None
    return (
        Check("subject", town == task.town),
        Check("form", match is not None),
        Check("amount", attribute == task.attribute and value in ATTRIBUTES[task.attribute], value),
        Check("content", value == fact(task.town, task.attribute), value),
    )
