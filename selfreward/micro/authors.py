"""Who writes in the micro-world: authors of different care, and the responses they give.

An author meets each of the five criteria of the rubric with a probability of its own; where it fails one, it fails
it in a way that people do: another topic, a word twice, one word too many, the required word forgotten.
"""

from dataclasses import dataclass
from random import Random

from selfreward.micro.almanac import TOWNS, fact
from selfreward.micro.tasks import Task
from selfreward.micro.words import (
    ACTIONS,
    ADJECTIVES,
    ADVERBS,
    ATTRIBUTES,
    DEEDS,
    DETERMINERS,
    KIND,
    MARKS,
    NOUNS,
    PREPOSITIONS,
    TOPIC_OF,
    TOPICS,
)


@dataclass(frozen=True)
class Care:
    """How probable it is, 0 to 1, that an author meets each criterion."""

    subject: float
    form: float
    amount: float
    content: float
    ending: float


CAREFUL = Care(0.99, 0.99, 0.99, 0.99, 0.99)
AVERAGE = Care(0.75, 0.85, 0.60, 0.70, 0.75)
CARELESS = Care(0.50, 0.60, 0.35, 0.40, 0.50)

_SENTENCE_SHAPES = [  # (adjective, action or deed, adjective of the object, adverb, preposition, its adjective)
    (adjective, deed, object_adjective, adverb, place, place_adjective)
    for adjective in (0, 1)
    for deed in (0, 1)
    for object_adjective in ((0, 1) if deed else (0,))
    for adverb in (0, 1)
    for place in (0, 1)
    for place_adjective in ((0, 1) if place else (0,))
]


def _length(shape: tuple[int, ...]) -> int:
    adjective, deed, object_adjective, adverb, place, place_adjective = shape
    return 3 + adjective + deed * (2 + object_adjective) + adverb + place * (3 + place_adjective)


def _hosts(shape: tuple[int, ...], kind: str | None) -> bool:
    """Whether a sentence of this shape has a place for a required word of this kind, the subject's noun aside."""
    adjective, deed, object_adjective, adverb, place, place_adjective = shape
    return {
        None: True,
        "noun": bool(deed or place),
        "adjective": bool(adjective or object_adjective or place_adjective),
        "action": not deed,
        "deed": bool(deed),
        "adverb": bool(adverb),
    }[kind]


_SHAPES_BY_LENGTH: dict[int, list[tuple[int, ...]]] = {}
for _shape in _SENTENCE_SHAPES:
    _SHAPES_BY_LENGTH.setdefault(_length(_shape), []).append(_shape)


def respond(task: Task, care: Care, rng: Random) -> str:
    """A response to a task by an author of this care."""
    subject, form, amount, content, ending = (
        rng.random() < chance for chance in (care.subject, care.form, care.amount, care.content, care.ending)
    )
    write = {"sentence": _sentence, "list": _list, "order": _order, "fact": _fact}[task.family]
    return write(task, subject, form, amount, content, rng) + _ending(task.ending, ending, rng)


def _ending(wanted: str | None, good: bool, rng: Random) -> str:
    if good:
        return wanted or rng.choice(".!")
    return rng.choice([mark for mark in (*MARKS, "") if mark != wanted]) if wanted else ""


def _sentence(task: Task, subject: bool, form: bool, amount: bool, content: bool, rng: Random) -> str:
    assert task.topic is not None
    include = task.include if content else None
    lengths = set(_SHAPES_BY_LENGTH)
    if task.count is None:
        length = rng.choice(sorted(lengths & set(range(4, 11))))
    elif amount:
        length = task.count
    else:
        length = rng.choice([n for n in sorted(lengths) if n != task.count and abs(n - task.count) <= 3])
    topic = task.topic if subject else rng.choice([name for name in TOPICS if name != task.topic])
    kind = KIND[include] if include else None
    in_subject = include is not None and TOPIC_OF.get(include) == topic  # the required word may be the subject itself
    shapes = [s for s in _SHAPES_BY_LENGTH[length] if in_subject or _hosts(s, kind)] or _SHAPES_BY_LENGTH[length]
    words = _fill(rng.choice(shapes), topic, include, task.include, in_subject, rng)
    if not form:
        words = _spoil(words, rng)
    return " ".join([words[0].capitalize(), *words[1:]])


def _fill(
    shape: tuple[int, ...], topic: str, include: str | None, avoid: str | None, in_subject: bool, rng: Random
) -> list[str]:
    """The words of a sentence of this shape: no content word twice, `include` somewhere, `avoid` nowhere else."""
    adjective, deed, object_adjective, adverb, place, place_adjective = shape
    kinds = ["determiner", *["adjective"] * adjective, "subject", "deed" if deed else "action"]
    kinds += ["determiner", *["adjective"] * object_adjective, "noun"] if deed else []
    kinds += ["adverb"] * adverb
    kinds += ["preposition", "determiner", *["adjective"] * place_adjective, "noun"] if place else []
    home = None
    if include:
        homes = [i for i, kind in enumerate(kinds) if kind == ("subject" if in_subject else KIND[include])]
        home = rng.choice(homes) if homes else None
    pools = {
        "determiner": DETERMINERS, "adjective": ADJECTIVES, "subject": TOPICS[topic], "noun": NOUNS, "action": ACTIONS,
        "deed": DEEDS, "adverb": ADVERBS, "preposition": PREPOSITIONS,
    }  # fmt: skip
    words: list[str] = []
    for i, kind in enumerate(kinds):
        taken = {*words, include, avoid} - {*DETERMINERS, *PREPOSITIONS}
        words.append(include if i == home and include else rng.choice([w for w in pools[kind] if w not in taken]))
    return words


def _spoil(words: list[str], rng: Random) -> list[str]:
    """The sentence with its grammar broken but its length kept: two neighbours swapped, or a word said twice."""
    words = list(words)
    nouns = [i for i, word in enumerate(words) if KIND[word] == "noun"]
    if len(nouns) > 1 and rng.random() < 0.5:
        words[nouns[-1]] = words[nouns[0]]
    else:
        i = rng.randrange(len(words) - 1)
        words[i], words[i + 1] = words[i + 1], words[i]
    return words


def _list(task: Task, subject: bool, form: bool, amount: bool, content: bool, rng: Random) -> str:
    assert task.topic is not None
    count = task.count or rng.randint(2, 6)
    if not amount:
        count = rng.choice([n for n in range(1, 8) if n != count and abs(n - count) <= 2])
    own = [noun for noun in TOPICS[task.topic] if noun not in (task.include, task.leave_out)]
    if content:
        required = [task.include] if task.include else []
    else:
        required = [task.leave_out] if task.leave_out and (rng.random() < 0.6 or not task.include) else []
    chosen = required + rng.sample(own, min(max(count - len(required), 0), len(own)))
    if not subject:
        strangers = [noun for noun in NOUNS if TOPIC_OF[noun] != task.topic]
        chosen[-1] = rng.choice(strangers)
    rng.shuffle(chosen)
    if not form and len(chosen) > 1:
        chosen[-1] = chosen[0]
    return "List: " + ", ".join(chosen)


def _order(task: Task, subject: bool, form: bool, amount: bool, content: bool, rng: Random) -> str:
    items = list(reversed(task.words)) if task.reverse else list(task.words)
    if not content:
        i = rng.randrange(len(items) - 1)
        items[i], items[i + 1] = items[i + 1], items[i]
    if not subject:
        items[rng.randrange(len(items))] = rng.choice([noun for noun in NOUNS if noun not in task.words])
    if not form:
        items[-1] = items[0]
    if not amount:
        items.pop(rng.randrange(len(items)))
    return "List: " + ", ".join(items)


def _fact(task: Task, subject: bool, form: bool, amount: bool, content: bool, rng: Random) -> str:
    assert task.attribute is not None and task.town is not None
    town = task.town if subject else rng.choice(TOWNS)
    attribute = task.attribute if amount else rng.choice([name for name in ATTRIBUTES if name != task.attribute])
    truth = fact(task.town, task.attribute)
    value = truth if content and amount else rng.choice([v for v in ATTRIBUTES[attribute] if v != truth])
    words = ["The", attribute, "of", town, "is", value]
    if not form:
        i = rng.choice((1, 4))
        del words[i]
    return " ".join(words)
