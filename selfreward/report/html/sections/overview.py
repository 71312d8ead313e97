"""What was run, and what came of it: the verdict in a sentence, and the words one needs to read the rest."""

from selfreward import store
from selfreward.report.html.blocks import Block, Facts, Section, Table, Text
from selfreward.report.html.run import Run
from selfreward.report.html.verdict import verdict
from selfreward.report.html.words import duration, listed, model, number
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
    is_own = judge.name == judge.own_name and not (judge.engine and judge.engine.server.model)
    lesson = _LESSONS.get(run.recipe.strategy)
    if lesson is None:
        return (
            "A language model was trained to follow instructions better. It starts as M0 and is first taught by "
            "answers that people wrote (the SFT baseline), then also by examples of judging (M1). After that come "
            "rounds, each of which makes the next model: M2, M3 and so on. What a round teaches is named below as "
            "the strategy."
        )
    return (
        f"A language model was trained to follow instructions better, with {'itself' if is_own else 'another'} as "
        "the judge of its answers. It starts as M0 and is first taught by answers that people wrote (the SFT "
        "baseline), then also by examples of judging (M1). After that it learns from its own answers, round after "
        f"round: it writes new instructions and gives several answers to each, the judge scores them, and {lesson}. "
        "Each round makes the next model: M2, M3 and so on."
    )


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
    judge = (
        "the model judges itself"
        if recipe.judge.name == recipe.judge.own_name
        else f"{recipe.judge.name}, not the model itself"
    )
    if recipe.judge.name == recipe.judge.own_name and recipe.judge.engine:
        judge = f"{recipe.judge.engine.server.model or 'the model itself'}, asked on an engine of its own"
    prompts = recipe.prompts.num * recipe.responses.num_samples
    budget = (
        f"{number(recipe.prompts.num)} new prompts a round, {recipe.responses.num_samples} responses to each, "
        f"{recipe.judge.votes} votes on each: {number(prompts)} responses and {number(prompts * recipe.judge.votes)} "
        "votes"
    )
    source = "the micro-world, an invented language whose truth is known" if seeds.is_micro else str(seeds.source)
    measured = [
        f"{number(recipe.evaluation.num_prompts)} held-out prompts ({recipe.evaluation.split}), scored by the oracle",
        f"{number(recipe.evaluation.num_ranked_sets)} held-out sets of ranked answers, for the judge",
    ]
    made = [name for name in run.models if name in run.measured or (run.path / name / store.MODEL_FOLDER).is_dir()]
    seconds = sum(row["seconds"] for row in run.tables["time"])
    if recipe.schedule:
        budget += ", unless the schedule of the recipe says otherwise for a round"
    facts = [
        ("Run", run.tables["run"]),
        ("First model (M0)", str(recipe.model)),
        ("Models made", listed([model(name) for name in made]) if made else "none yet"),
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
