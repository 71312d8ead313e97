"""Pairs that taught the model, with the judge's words and the difference marked."""

from selfreward import store
from selfreward.records import Judgement
from selfreward.report.html.blocks import Block, Judged, Lesson, Section, Text
from selfreward.report.html.difference import only_here
from selfreward.report.html.run import Run
from selfreward.report.html.telling import KINDS, Telling, telling
from selfreward.report.html.words import model, number

_LEAD = (
    "What the model was taught, read for yourself: two responses to a prompt, the one that it was to prefer and the one "
    "that it was not. Words that only one of them has are underlined."
)
_MOST_LETTERS = {"prompt": 3000, "response": 4000, "vote": 1500}


def pairs(run: Run) -> Section:
    """The ninth section."""
    shown = telling(run)
    blocks: list[Block] = [_lesson(number, one) for number, one in enumerate(shown, start=1)]
    if not shown:
        blocks = [Text(_why_none(run), "missing")]
    else:
        made = sum(lines.get(store.PAIRS_FILE, 0) for lines in run.tables["lines"].values())
        said = f"{len(shown)} of {number(made)} pairs, chosen by fixed rules that are named with each; the doubtful ones too."
        said += " Both responses are the model's own." if run.recipe.strategy == "self_rewarding" else ""
        blocks.insert(0, Text(said))
    return Section("pairs", "Telling pairs", _LEAD, blocks)


def _why_none(run: Run) -> str:
    methods = {run.json(f"{name}/{store.LESSON_FILE}").get("method") for name in run.rounds}
    if methods == {"sft"}:
        return "This strategy makes no pairs: its rounds teach examples to imitate, and nothing is rejected."
    if not run.rounds:
        return "There are no pairs yet: no round has begun."
    return "There are no pairs in the run's files: its strategy makes none, or the round has not come so far."


def _lesson(number: int, one: Telling) -> Lesson:
    pair = one.pair
    points = one.truth or (None, None)
    silent = (
        " The prompt is no proper instruction, so the oracle has no say." if one.has_oracle and not one.truth else ""
    )
    return Lesson(
        f"Pair {number}, taught to {model(one.model)}: margin {pair.margin:.3g}",
        f"{KINDS[one.kind]}{silent}",
        _cut(pair.prompt, "prompt"),
        _judged(pair.chosen, pair.rejected, pair.chosen_score, one.chosen, points[0]),
        _judged(pair.rejected, pair.chosen, pair.rejected_score, one.rejected, points[1]),
    )


def _judged(text: str, other: str, score: float, judgement: Judgement | None, truth: float | None) -> Judged:
    runs = only_here(_cut(text, "response"), _cut(other, "response"))
    votes = [
        (f"{vote.score:.3g}" if vote.score is not None else str(vote.fault).replace("_", " "), _cut(vote.text, "vote"))
        for vote in (judgement.votes if judgement else ())
    ]
    return Judged(score, runs, votes, "" if truth is None else f"{truth:.3g}")


def _cut(text: str, what: str) -> str:
    """A text that is too long for the page, cut and said so."""
    most = _MOST_LETTERS[what]
    return text if len(text) <= most else f"{text[:most]} [… {len(text) - most:,} more letters in the run's files]"
