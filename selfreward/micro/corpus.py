"""What M0 reads: dialogues, reviews, collections of tasks, and exercises in copying and finding words.

A document is a question and an answer in the chat format. The first part of pretraining is clean (careful authors
and reviewers, and much copying); the rest is the world as it is: authors and reviewers of every kind.
"""

from dataclasses import dataclass
from random import Random

from selfreward.micro.almanac import evidence
from selfreward.micro.authors import AVERAGE, CAREFUL, CARELESS, Care, respond
from selfreward.micro.reviews import blunt_review, careful_review, review_request
from selfreward.micro.tasks import draw_instruction
from selfreward.micro.words import NOUNS, REQUIRABLE


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of document, of authors and of reviewers; each group is normalised."""

    documents: dict[str, float]
    authors: tuple[tuple[Care, float], ...]
    careful_reviewers: float  # share; the rest are blunt


CLEAN = Mixture(
    documents={
        "dialogue": 0.45,
        "review": 0.29,
        "tasks": 0.04,
        "copy": 0.05,
        "shuffle": 0.04,
        "find": 0.05,
        "twice": 0.04,
        "again": 0.04,
    },
    authors=((CAREFUL, 1.0),),
    careful_reviewers=1.0,
)
NATURAL = Mixture(
    documents={
        "dialogue": 0.54,
        "review": 0.36,
        "tasks": 0.08,
        "copy": 0.005,
        "shuffle": 0.005,
        "find": 0.005,
        "twice": 0.0025,
        "again": 0.0025,
    },
    authors=((CAREFUL, 0.4), (AVERAGE, 0.4), (CARELESS, 0.2)),
    careful_reviewers=0.35,
)
VERDICTS = (" yes", " no")  # tokens
_REVIEWED = ((CAREFUL, 0.35), (AVERAGE, 0.45), (CARELESS, 0.20))  # the answers that reviewers see


@dataclass(frozen=True)
class Document:
    """A dialogue of one turn; `learn_question` says whether the question is learned too."""

    kind: str
    question: str
    answer: str
    learn_question: bool = False


def draw_document(mixture: Mixture, rng: Random) -> Document:
    """A random document of a mixture."""
    kind = rng.choices(tuple(mixture.documents), tuple(mixture.documents.values()))[0]
    draw = {
        "dialogue": _dialogue, "review": _review, "tasks": _tasks, "copy": _copy, "shuffle": _shuffle, "find": _find,
        "twice": _twice, "again": _again,
    }  # fmt: skip
    return draw[kind](mixture, rng)


def _draw_care(authors: tuple[tuple[Care, float], ...], rng: Random) -> Care:
    return rng.choices([care for care, _ in authors], [share for _, share in authors])[0]


def _dialogue(mixture: Mixture, rng: Random) -> Document:
    task, instruction = draw_instruction(rng)
    return Document("dialogue", instruction, respond(task, _draw_care(mixture.authors, rng), rng))


def _review(mixture: Mixture, rng: Random) -> Document:
    task, instruction = draw_instruction(rng)
    response = respond(task, _draw_care(_REVIEWED, rng), rng)
    with_evidence = task.family == "fact" and rng.random() < 0.5
    line = evidence(task.town or "", task.attribute or "") if with_evidence else None
    if rng.random() < mixture.careful_reviewers:
        review = careful_review(task, response, with_evidence)
    else:
        review = blunt_review(task, response, rng)
    return Document("review", review_request(instruction, response, rng, line), review)


TASKS_REQUEST = "Read these tasks and write one more."


def _tasks(mixture: Mixture, rng: Random) -> Document:
    instructions = [draw_instruction(rng)[1] for _ in range(rng.randint(2, 9))]
    question = "\n".join((TASKS_REQUEST, *(f"Task: {text}" for text in instructions[:-1])))
    return Document("tasks", question, instructions[-1], learn_question=True)


def _words(rng: Random, num: int) -> list[str]:
    return rng.sample(REQUIRABLE if rng.random() < 0.5 else NOUNS, num)


def _copy(mixture: Mixture, rng: Random) -> Document:
    """Copying is what everything else hangs on: an induction head has nothing else to attend to here."""
    words = " ".join(rng.choices(REQUIRABLE if rng.random() < 0.5 else NOUNS, k=rng.randint(3, 12)))
    return Document("copy", f"Copy: {words}", f"Copy: {words}")


def _shuffle(mixture: Mixture, rng: Random) -> Document:
    """Say every word once: what an author does who repeats nothing."""
    words = _words(rng, rng.randint(3, 8))
    return Document("shuffle", f"Shuffle: {' '.join(words)}", f"Shuffle: {' '.join(rng.sample(words, len(words)))}")


def _find(mixture: Mixture, rng: Random) -> Document:
    """Is each of some words there? What a reviewer does for a required word."""
    words = _words(rng, rng.randint(6, 14))
    listed = rng.sample(words, len(words) // 2)
    wanted = rng.sample(words, min(len(words), rng.randint(2, 6)))
    verdicts = " ".join(f"{word}: {'yes' if word in listed else 'no'}." for word in wanted)
    return Document("find", f"Find {' '.join(wanted)}: {' '.join(listed)}", f"Find {verdicts}")


def _twice(mixture: Mixture, rng: Random) -> Document:
    """Does any word stand twice? What a reviewer does for form."""
    words = _words(rng, rng.randint(2, 8))
    repeated = rng.random() < 0.5
    if repeated:
        i, j = rng.sample(range(len(words)), 2)
        words[i] = words[j]
    return Document("twice", f"Twice: {' '.join(words)}", f"Twice: {'yes' if repeated else 'no'}.")


def _again(mixture: Mixture, rng: Random) -> Document:
    """Was this word there before, asked of each? The same as `_twice` in small steps, several verdicts a document."""
    words = _words(rng, rng.randint(3, 6))
    said = [rng.choice(words) for _ in range(rng.randint(4, 10))]
    verdicts = " ".join(f"{word}: {'yes' if word in said[:i] else 'no'}." for i, word in enumerate(said))
    return Document("again", "Again:", f"Again {verdicts}")
