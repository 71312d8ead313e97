"""Figures of a run's texts: answers to held-out prompts, responses of its rounds, prompts."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from heapq import nsmallest
from typing import Any

from selfreward import store
from selfreward.analysis.texts import diversity
from selfreward.records import Example, Pair, Prompt, digest
from selfreward.report.html.run import Run
from selfreward.report.html.words import model
from selfreward.responses import Responses
from selfreward.rouge import Letters, highest
from selfreward.statistics import mean_ci

_MOST_COMPARED = 500  # prompts of a group: all pairs are compared, and the page is made after every round

Mean = dict[str, Any]  # {mean, ci95, n}


@dataclass(frozen=True)
class Answers:
    """A model's first answers to the held-out prompts."""

    words: Mean
    distinct: float | None  # different pairs of words over all, 0..1
    like_before: Mean | None  # ROUGE-L F with the model before, 0..1; None for the first
    num: int


@dataclass(frozen=True)
class Candidates:
    """The responses of a round."""

    words: Mean  # over prompts
    repeats: Mean  # share of a prompt's responses that repeat another, 0..1, over prompts
    longer: Mean | None  # words of the chosen less those of the rejected, over pairs; None where there are none
    num: int


@dataclass(frozen=True)
class Written:
    """Prompts of one source."""

    name: str
    words: Mean
    distinct: float | None  # of those compared, 0..1
    alike: float | None  # mean ROUGE-L F with the most similar other of those compared, 0..1
    compared: int


def answers(run: Run) -> dict[str, Answers]:
    """By model; models without kept answers are left out."""
    found: dict[str, Answers] = {}
    before: dict[str, str] = {}
    for name in run.models:
        lines = run.records(f"{name}/{store.EVAL_RESPONSES_FILE}", Responses)
        texts = {line.id: line.samples[0].text for line in lines if line.samples}
        if texts:
            likeness = [_likeness(text, before[id]) for id, text in texts.items() if id in before]
            found[name] = Answers(
                _mean(len(text.split()) for text in texts.values()),
                diversity(_some(texts.values()))["distinct_2"],
                _mean(likeness) if likeness else None,
                len(texts),
            )
            before = texts
    return found


def candidates(run: Run, name: str) -> Candidates | None:
    """The responses that taught a model; None where there are none yet."""
    words, repeats, num = [], [], 0
    for line in run.records(f"{name}/{store.RESPONSES_FILE}", Responses):
        texts = [response.text for response in line.samples]
        if texts:
            words.append(sum(len(text.split()) for text in texts) / len(texts))
            repeats.append(1 - len({" ".join(text.split()) for text in texts}) / len(texts))
            num += len(texts)
    if not num:
        return None
    pairs = run.records(f"{name}/{store.PAIRS_FILE}", Pair)
    longer = [len(pair.chosen.split()) - len(pair.rejected.split()) for pair in pairs]
    return Candidates(_mean(words), _mean(repeats), _mean(longer) if longer else None, num)


def written(run: Run) -> dict[str, Written]:
    """Prompts by source: those of the IFT seed, then of every round that has any."""
    ift = (example.prompt for example in run.records(f"{store.SEED_FOLDER}/{store.IFT_FILE}", Example))
    groups = {"IFT": list(ift)}
    for name in run.rounds:
        texts = [prompt.text for prompt in run.records(f"{name}/{store.PROMPTS_FILE}", Prompt)]
        groups[f"to {model(name)}"] = texts
    groups = {name: list(dict.fromkeys(texts)) for name, texts in groups.items() if texts}
    fewest = min([_MOST_COMPARED, *map(len, groups.values())])
    found = {}
    for name, texts in groups.items():
        varied = diversity(nsmallest(fewest, texts, key=digest))
        rouge = varied["self_rouge"] or {}
        words = _mean(len(text.split()) for text in texts)
        found[name] = Written(name, words, varied["distinct_2"], rouge.get("highest"), fewest)
    return found


def _mean(values: Iterable[float]) -> Mean:
    return asdict(mean_ci(list(values)))


def _likeness(ours: str, theirs: str) -> float:
    """ROUGE-L F of two texts; two without words are alike."""
    letters = Letters()
    one, other = letters(ours), letters(theirs)
    return highest(one, [other]) if one or other else 1.0


def _some(texts: Iterable[str]) -> list[str]:
    """Few enough to be compared in all pairs."""
    return nsmallest(_MOST_COMPARED, texts, key=digest)
