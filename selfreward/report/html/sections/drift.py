"""How texts change from round to round: their length, how varied they are, how alike."""

from collections.abc import Sequence

from selfreward.report.html.blocks import Block, Figure, Section, Table, Text
from selfreward.report.html.plots import alone, lines, point
from selfreward.report.html.run import Run
from selfreward.report.html.texts import Answers, Candidates, Written, answers, candidates, written
from selfreward.report.html.words import NOTHING, estimate, model, number

_LEAD = (
    "A model that teaches itself can drift: answers grow longer because its judge likes length, or they become all "
    "the same. Neither is a gain. These figures say nothing about quality, they say where to look."
)

_WORDS, _PERCENTS = 2.0, 10.0  # no axis is shorter, so that a small change looks small


def drift(run: Run) -> Section:
    """The fifth section."""
    held_out = answers(run)
    rounds = {name: found for name in run.rounds if (found := candidates(run, name)) is not None}
    prompts = written(run)
    blocks: list[Block] = []
    blocks += (
        [_of_answers(held_out)]
        if held_out
        else [Text("No answers to held-out prompts are kept in this run.", "missing")]
    )
    blocks += [_of_rounds(rounds)] if rounds else [Text("No round has sampled responses yet.", "missing")]
    blocks += [_of_prompts(prompts)] if len(prompts) > 1 else [Text("No round has written prompts yet.", "missing")]
    return Section("drift", "Length, variety and likeness", _LEAD, blocks)


def _of_answers(found: dict[str, Answers]) -> Figure:
    names = [model(name) for name in found]
    every = list(found.values())
    plots = [
        lines("Words in an answer", names, alone([point(one.words) for one in every]), _WORDS),
        lines(
            "Different pairs of words, % of all",
            names,
            alone([point(one.distinct, 100) for one in every]),
            _PERCENTS,
        ),
        lines(
            "Likeness to the model before, % (ROUGE-L)",
            names,
            alone([point(one.like_before, 100) for one in every]),
            _PERCENTS,
        ),
    ]
    rows = [
        [
            model(name),
            estimate(one.words, 2),
            number(one.distinct, 1, 100),
            estimate(one.like_before, 1, 100),
            number(one.num),
        ]
        for name, one in found.items()
    ]
    columns = ("model", "words", "different pairs of words, %", "likeness to the model before, %", "answers")
    caption = (
        "First answers to the same held-out prompts. Likeness is the longest common subsequence of words (ROUGE-L "
        "F) of two models' answers to one prompt: 100 says the same, so a low figure is a large change."
    )
    return Figure("Answers to held-out prompts", plots, caption, Table("Answers, with 95 % intervals", columns, rows))


def _of_rounds(found: dict[str, Candidates]) -> Figure:
    names = [f"to {model(name)}" for name in found]
    every = list(found.values())
    plots = [
        lines("Words in a response", names, alone([point(one.words) for one in every]), _WORDS),
        lines(
            "Responses that repeat another, %",
            names,
            alone([point(one.repeats, 100) for one in every]),
            _PERCENTS,
        ),
    ]
    if any(one.longer for one in every):
        plots.append(
            lines(
                "Chosen less rejected, words",
                names,
                alone([point(one.longer) for one in every]),
                _WORDS,
            )
        )
    rows = [
        [f"round to {model(name)}", estimate(one.words, 2), estimate(one.repeats, 1, 100),
         estimate(one.longer, 2) if one.longer else NOTHING, number(one.num)]
        for name, one in found.items()
    ]  # fmt: skip
    columns = ("round", "words", "repeat another to their prompt, %", "chosen less rejected, words", "responses")
    caption = (
        "The responses that each round learned from. Where chosen responses are longer than rejected ones round "
        "after round, length itself may be what is rewarded."
    )
    return Figure("Responses of the rounds", plots, caption, Table("Responses, with 95 % intervals", columns, rows))


def _of_prompts(found: dict[str, Written]) -> Figure:
    names = [one.name for one in found.values()]
    every: Sequence[Written] = list(found.values())
    plots = [
        lines("Words in a prompt", names, alone([point(one.words) for one in every]), _WORDS),
        lines(
            "Different pairs of words, % of all",
            names,
            alone([point(one.distinct, 100) for one in every]),
            _PERCENTS,
        ),
        lines(
            "Likeness to the nearest other, % (ROUGE-L)",
            names,
            alone([point(one.alike, 100) for one in every]),
            _PERCENTS,
        ),
    ]
    rows = [
        [
            one.name,
            estimate(one.words, 2),
            number(one.distinct, 1, 100),
            number(one.alike, 1, 100),
            number(one.compared),
        ]
        for one in every
    ]
    columns = ("prompts of", "words", "different pairs of words, %", "likeness to the nearest other, %", "compared")
    caption = "New prompts beside those that people wrote (IFT). Equally many of each are compared, chosen by a hash of their text."
    return Figure("Prompts", plots, caption, Table("Prompts", columns, rows))
