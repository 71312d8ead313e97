"""The instructions of the micro-world: four families, their constraints, and their English.

sentence  write a sentence about a topic (length, required word, ending)
list      name things of a topic (count, required word, forbidden word, ending)
order     repeat words in the same or in reverse order (ending)
fact      a question about a town of the almanac (ending)

`write_instruction` turns a task into English in one of several phrasings; `read_instruction` is its inverse.
Every instruction belongs to one split for ever, by its text: nothing that is learned from, M0's corpus included, is
ever drawn from the held-out splits.
"""

import re
from dataclasses import dataclass
from random import Random
from typing import Literal

from selfreward.micro.almanac import TOWNS
from selfreward.micro.words import ATTRIBUTES, LIST_LENGTHS, MARKS, NOUNS, REQUIRABLE, SENTENCE_LENGTHS, TOPICS
from selfreward.records import digest

Split = Literal["train", "dev", "test"]  # dev: settings are tuned on it; test: reported on it

FAMILIES = ("sentence", "list", "order", "fact")
_FAMILY_SHARES = (0.45, 0.25, 0.15, 0.15)


@dataclass(frozen=True)
class Task:
    """What an instruction asks for. A constraint that is None is not asked for."""

    family: str
    topic: str | None = None  # sentence, list
    count: int | None = None  # words of a sentence, items of a list
    include: str | None = None  # a word that must be there
    leave_out: str | None = None  # list: a word that must not be there
    words: tuple[str, ...] = ()  # order: the words, as given
    reverse: bool = False  # order: from last to first
    town: str | None = None  # fact
    attribute: str | None = None  # fact
    ending: str | None = None  # the last character: one of . ! ?

    @property
    def complexity(self) -> int:
        """Number of constraints, the subject itself included: 1 to 5."""
        optional = (self.count, self.include, self.leave_out, self.ending)
        return 1 + sum(constraint is not None for constraint in optional) + self.reverse


def draw_task(rng: Random) -> Task:
    """A random task, by the families' shares."""
    family = rng.choices(FAMILIES, _FAMILY_SHARES)[0]
    ending = rng.choice(tuple(MARKS)) if rng.random() < 0.7 else None
    if family == "sentence":
        count = rng.choice(SENTENCE_LENGTHS) if rng.random() < 0.75 else None
        include = rng.choice(REQUIRABLE) if rng.random() < 0.75 else None
        return Task(family, topic=rng.choice(tuple(TOPICS)), count=count, include=include, ending=ending)
    if family == "list":
        topic = rng.choice(tuple(TOPICS))
        wanted, unwanted = rng.sample(TOPICS[topic], 2)
        return Task(
            family,
            topic=topic,
            count=rng.choice(LIST_LENGTHS) if rng.random() < 0.75 else None,
            include=wanted if rng.random() < 0.6 else None,
            leave_out=unwanted if rng.random() < 0.4 else None,
            ending=ending,
        )
    if family == "order":
        words = tuple(rng.sample(NOUNS, rng.randint(3, 6)))
        return Task(family, words=words, reverse=rng.random() < 0.6, ending=ending)
    return Task(family, town=rng.choice(TOWNS), attribute=rng.choice(tuple(ATTRIBUTES)), ending=ending)


def split_of(instruction: str) -> Split:
    """The split a text belongs to: 14 of 16 train, 1 dev, 1 test; letter case and spacing make no difference."""
    splits: dict[int, Split] = {0: "dev", 1: "test"}
    return splits.get(int(digest(" ".join(instruction.lower().split()))[-1], 16), "train")


def draw_instruction(rng: Random, split: Split = "train") -> tuple[Task, str]:
    """A random task and its text, out of one split."""
    while True:
        task = draw_task(rng)
        instruction = write_instruction(task, rng)
        if split_of(instruction) == split:
            return task, instruction


_HEADS = {
    "sentence": ("Write a sentence about {topic}.", "Tell me something about {topic}."),
    "list": ("Name some {topic}.", "Make a list of {topic}."),
    "same": ("Repeat these words in the same order: {words}.", "Copy these words as they are: {words}."),
    "reverse": ("Put these words in reverse order: {words}.", "Turn these words around: {words}."),
    "fact": ("What is the {attribute} of {town}?", "Tell me the {attribute} of {town}."),
}
_COUNTS = {
    "sentence": ("Use exactly {count} words.", "Make it {count} words long."),
    "list": ("Give exactly {count} items.", "Stop after {count} items."),
}
_INCLUDES = ("Include the word {include}.", "It must contain the word {include}.")
_LEAVE_OUTS = ("Leave out the word {leave_out}.", "Do not use the word {leave_out}.")
_ENDINGS = ("End with {mark}.", "Finish with {mark}.")


def write_instruction(task: Task, rng: Random) -> str:
    """The task in English: the subject first, then its constraints in random order, each in a random phrasing."""
    order = "reverse" if task.reverse else "same"
    head = rng.choice(_HEADS[order if task.family == "order" else task.family])
    constraints = []
    if task.count is not None:
        constraints.append(rng.choice(_COUNTS[task.family]))
    if task.include is not None:
        constraints.append(rng.choice(_INCLUDES))
    if task.leave_out is not None:
        constraints.append(rng.choice(_LEAVE_OUTS))
    if task.ending is not None:
        constraints.append(rng.choice(_ENDINGS))
    rng.shuffle(constraints)
    fields = {
        "topic": task.topic,
        "words": ", ".join(task.words),
        "attribute": task.attribute,
        "town": task.town,
        "count": task.count,
        "include": task.include,
        "leave_out": task.leave_out,
        "mark": MARKS.get(task.ending or ""),
    }
    return " ".join((head, *constraints)).format(**fields)


def _pattern(phrasings: tuple[str, ...]) -> re.Pattern[str]:
    """One regular expression for all phrasings; a field becomes a group that stops at a sentence's end."""
    alternatives = []
    for number, phrasing in enumerate(phrasings):
        escaped = re.escape(phrasing)
        alternatives.append(re.sub(r"\\{(\w+)\\}", rf"(?P<\1_{number}>[^.?!:]+?)", escaped))
    return re.compile("|".join(alternatives))


_HEAD_PATTERNS = {name: _pattern(phrasings) for name, phrasings in _HEADS.items()}
_CONSTRAINT_PATTERNS = {
    ("sentence", "count"): _pattern(_COUNTS["sentence"]),
    ("list", "count"): _pattern(_COUNTS["list"]),
    ("sentence", "include"): _pattern(_INCLUDES),
    ("list", "include"): _pattern(_INCLUDES),
    ("list", "leave_out"): _pattern(_LEAVE_OUTS),
} | {(family, "ending"): _pattern(_ENDINGS) for family in FAMILIES}
_MARK_OF = {name: mark for mark, name in MARKS.items()}


def read_instruction(text: str) -> Task | None:
    """The task an instruction states, or None when it states none or contradicts itself."""
    sentences = re.findall(r"[^.?!]+[.?!]", text)
    if not sentences or "".join(sentences) != text:
        return None
    fields: dict[str, str] = {}
    for name, pattern in _HEAD_PATTERNS.items():
        if match := pattern.fullmatch(sentences[0]):
            fields = {"family": name} | _groups(match)
    if not fields:
        return None
    family = fields.pop("family")
    reverse = family == "reverse"
    family = "order" if family in ("same", "reverse") else family
    for sentence in sentences[1:]:
        found = {
            key: _groups(match)
            for (of, key), pattern in _CONSTRAINT_PATTERNS.items()
            if of == family and (match := pattern.fullmatch(sentence.strip()))
        }
        if len(found) != 1 or fields.keys() & next(iter(found.values())).keys():
            return None
        fields |= next(iter(found.values()))
    return _task(family, reverse, fields)


def _groups(match: re.Match[str]) -> dict[str, str]:
    return {name.rsplit("_", 1)[0]: value for name, value in match.groupdict().items() if value is not None}


def _task(family: str, reverse: bool, fields: dict[str, str]) -> Task | None:
    """A task of the fields, or None where a field holds no word of the micro-world."""
    words = tuple(fields["words"].split(", ")) if "words" in fields else ()
    known = (
        fields.get("topic", "animals") in TOPICS
        and fields.get("attribute", "animal") in ATTRIBUTES
        and fields.get("town", TOWNS[0]) in TOWNS
        and re.fullmatch("[0-9]{1,3}", fields.get("count", "2")) is not None
        and fields.get("mark", "a period") in _MARK_OF
        and set(words) <= set(NOUNS)
        and len(set(words)) == len(words)
        and {fields.get("include", "fox"), fields.get("leave_out", "fox")} <= set(REQUIRABLE)
    )
    if not known or ("include" in fields and fields.get("leave_out") == fields["include"]):
        return None
    return Task(
        family,
        topic=fields.get("topic"),
        count=int(fields["count"]) if "count" in fields else None,
        include=fields.get("include"),
        leave_out=fields.get("leave_out"),
        words=words,
        reverse=reverse,
        town=fields.get("town"),
        attribute=fields.get("attribute"),
        ending=_MARK_OF[fields["mark"]] if "mark" in fields else None,
    )
