"""What was run, and what came of it: the verdict in a sentence, and the words one needs to read the rest."""

from collections.abc import Mapping
from typing import Any

from selfreward import store
from selfreward.report.html.blocks import Block, Facts, Section, Table, Text
from selfreward.report.html.run import Run
from selfreward.report.html.words import against, duration, estimate, interval, listed, model, number
from selfreward.strategies import STRATEGIES

_LESSONS = {
    "self_rewarding": "it is trained to prefer its best answer to its worst",
    "positives_only": "it is taught to imitate the answers with a perfect score",
}
_GLOSSARY = (
    ("Instruction, prompt", "What the model is asked to do. The two words mean the same."),
    ("Response, answer", "What the model says to it; in a round it gives several."),
    ("Vote", "One reading of a response by the judge: points from 0 to 5, or unreadable."),
    ("Score", "The mean of the readable votes on one response."),
    ("Pair", "The best and the worst response to one prompt: chosen and rejected. Their scores differ by the margin."),
    ("SFT", "Supervised fine-tuning: the model learns to write given answers."),
    ("DPO", "Direct preference optimisation: the model learns to make the chosen response likelier than the rejected."),
    ("Seed", "What people gave: IFT are instructions with answers, EFT are examples of judging."),
    ("Net win", "How often a model's answer is better, less how often it is worse, in percent of the prompts."),
    ("95 % interval", "The range in which the true value lies, in 95 of 100 such measurements. Two figures whose intervals "
     "overlap much may be equal. It does not cover what another run of the same recipe would give."),
)  # fmt: skip


def overview(run: Run) -> Section:
    """The first section."""
    first, *others = verdict(run)
    blocks: list[Block] = [Text(first, "verdict"), Text(_method(run)), *map(Text, others)]
    blocks += [Text(said, "alarm") for said in _attention(run)]
    blocks += [Facts(_facts(run)), Table("Words on this page", ("word", "meaning"), _GLOSSARY)]
    return Section("overview", "What was run, and what came of it", "", blocks)


def _method(run: Run) -> str:
    """What was done, for somebody who has not heard of the method."""
    judge = run.recipe.judge
    is_own = judge.name == "llm" and not (judge.engine and judge.engine.server.model)
    lesson = _LESSONS.get(run.recipe.strategy, "it is trained on what comes of that")
    return (
        f"A language model was trained to follow instructions better, with {'itself' if is_own else 'another'} as the judge of its "
        "answers. It starts as M0 and is first taught by answers that people wrote (the SFT baseline), then "
        "also by examples of judging "
        "(M1). After that it learns from its own answers, round after round: it writes new instructions and "
        "gives several answers to "
        f"each, the judge scores them, and {lesson}. Each round makes the next model: M2, M3 and so on."
    )


def verdict(run: Run) -> list[str]:
    """Sentences on what the run reached and how sure that is, the most important first."""
    rows = {row["model"]: row for row in run.tables["summary"]}
    if not rows:
        return [
            "Nothing has been measured yet: the run has just begun, or it ended before its first model was measured."
        ]
    last = list(rows)[-1]
    game = rows[last]["against_sft"]
    if game and game.get("net") is not None:
        said = [_of_answers(last, game), *_steps(run), *_of_judging(rows)]
    elif run.recipe.seeds.is_micro:
        said = [
            f"Only {model(last)} has been measured so far, so there is nothing to compare it with.",
            *_of_judging(rows),
        ]
    else:
        said = [
            *_of_judging(rows),
            "Whether the answers got better is not measured by the run itself, as nothing here knows the truth about them. "
            f"Ask a judge: selfreward eval head-to-head RUN/{last} RUN/sft --judge MODEL.",
        ]
    planned = store.model_name(run.recipe.rounds + 1)
    if planned not in rows:
        said.append(
            f"The run is not finished: it goes up to {model(planned)}, and {model(last)} is the last one measured."
        )
    said.append(
        f"How sure is that? This is one run with one random seed ({run.recipe.seed}). The intervals say how far figures would "
        "move with other instructions; how far they would move with another seed, only more runs can say."
    )
    return said


def _of_answers(last: str, game: Mapping[str, Any]) -> str:
    shares = (
        f"of {number(game.get('n'))} instructions that it was not trained on, it answered {number(game['win'], 1)} % better, "
        f"{number(game['tie'], 1)} % equally well and {number(game['lose'], 1)} % worse"
    )
    net = f"The net win is {number(game['net'], 1)} points"
    if not game.get("ci95"):
        return f"{model(last)} against the SFT baseline: {shares}. {net}; there are too few for an interval."
    low, high = game["ci95"]
    ends = f"{net} (95 % interval: {interval(game, 1)})"
    if low <= 0 <= high:
        return (
            f"It cannot be said whether {model(last)} follows instructions better than the SFT baseline: {shares}. {ends}, and "
            "zero lies within."
        )
    word = "better" if low > 0 else "worse"
    return (
        f"{model(last)} follows instructions {word} than the SFT baseline: {shares}. {ends}, so chance alone does "
        "not explain it."
    )


def _steps(run: Run) -> list[str]:
    """What each round added, by meetings of a model with the one before."""
    steps = []
    for row in run.tables["head_to_head"]:
        if row["model"] in run.rounds and row["against"] == f"m{int(row['model'][1:]) - 1}":
            found = {"value": row.get("net"), "ci95": row.get("ci95")}
            steps.append(f"{model(row['model'])} against {model(row['against'])} {estimate(found, 1)}")
    return [f"Round by round, net win with its 95 % interval: {listed(steps)}."] if steps else []


def _of_judging(rows: Mapping[str, Any]) -> list[str]:
    """How the judge changed from the first model that was measured to the last."""
    found = {name: row["judge_pairwise_accuracy"] for name, row in rows.items() if row["judge_pairwise_accuracy"]}
    found = {name: value for name, value in found.items() if value.get("value") is not None}
    if not found:
        return []
    first, last = next(iter(found)), list(found)[-1]
    truth = "the oracle" if rows[last]["judge_truth"] == "oracle" else "people"
    said = (
        f"As a judge, {model(last)} puts {estimate(found[last], 1, 100)} % of pairs of answers in the order of {truth}"
    )
    if first == last or not (found[first].get("ci95") and found[last].get("ci95")):
        return [f"{said}."]
    ours, theirs = found[last]["ci95"], found[first]["ci95"]
    apart = ours[0] > theirs[1] or ours[1] < theirs[0]
    how = "a clear change" if apart else "the intervals overlap, so this is no clear change"
    return [f"{said}; {against(first)} {estimate(found[first], 1, 100)} %: {how}. Guessing would give 50 %."]


def _attention(run: Run) -> list[str]:
    """What a reader should know before the figures."""
    alarms = [f"{model(str(a.get('model')))}: {a.get('said')}" for a in run.tables["alarms"]]
    said = (
        [f"{len(alarms)} alarm{'s' if len(alarms) > 1 else ''}: {'; '.join(alarms)}. See section 4."] if alarms else []
    )
    if torn := run.tables["torn"]:
        said.append(f"{len(torn)} lines were torn by a kill, cut off, and made again.")
    return [*said, *(f"Left out: {problem}" for problem in run.tables["problems"])]


def _facts(run: Run) -> list[tuple[str, str]]:
    recipe = run.recipe
    seeds = recipe.seeds
    documented = STRATEGIES.get(recipe.strategy)
    strategy = " ".join((documented.__doc__ or "").split()) if documented else "a strategy of the user's own"
    judge = "the model judges itself" if recipe.judge.name == "llm" else f"{recipe.judge.name}, not the model itself"
    if recipe.judge.name == "llm" and recipe.judge.engine:
        judge = f"{recipe.judge.engine.server.model or 'the model itself'}, asked on an engine of its own"
    prompts = recipe.prompts.num * recipe.responses.num_samples
    budget = (
        f"{number(recipe.prompts.num)} new prompts a round, {recipe.responses.num_samples} responses to each, "
        f"{recipe.judge.votes} votes on each: {number(prompts)} responses and {number(prompts * recipe.judge.votes)} votes"
    )
    source = "the micro-world, an invented language whose truth is known" if seeds.is_micro else str(seeds.source)
    measured = [
        f"{number(recipe.evaluation.num_prompts)} held-out prompts ({recipe.evaluation.split}), scored by the oracle",
        f"{number(recipe.evaluation.num_ranked_sets)} held-out sets of ranked answers, for the judge",
    ]
    seconds = sum(row["seconds"] for row in run.tables["time"])
    facts = [
        ("Run", run.tables["run"]),
        ("First model (M0)", str(recipe.model)),
        ("Models made", listed([model(name) for name in run.models]) if run.models else "none yet"),
        ("Strategy", f"{recipe.strategy}: {strategy}"),
        ("Budget", budget),
        ("Judge", judge),
        ("Seeds from", source),
        ("Measured on", "; ".join(measured if seeds.is_micro else measured[1:])),
        ("Work so far", duration(seconds) if seconds else "not timed"),
    ]
    if "time" in run.stamp:
        facts.append(("Started", str(run.stamp["time"])))
    return facts
