"""Judges, lessons, times and recipes of several runs, a table each."""

from collections.abc import Mapping

from selfreward import store
from selfreward.recipe import differences
from selfreward.report.html.blocks import Block, Section, Table, Text
from selfreward.report.html.sections.cost import by_kind
from selfreward.report.html.several.runs import Several
from selfreward.report.html.words import NOTHING, duration, estimate, listed, model, number


def judges(several: Several) -> Section:
    """The health of the judge of every run, and all alarms."""
    rows, alarms = [], []
    for run in several.runs:
        for name, health in list(run.tables["judge_health"].items())[-1:]:
            keys = ("readable", "tie_rate", "self_agreement")
            shares = (estimate(health.get(key), 1, 100) for key in keys)
            rows.append([run.tables["run"], model(name), *shares, estimate(health.get("mean_score"), 2)])
            alarms += [f"{run.tables['run']}, {model(name)}: {said}." for said in health.get("alarms") or []]
        alarms += [f"{run.tables['run']}, {model(str(a.get('model')))}: {a.get('said')}." for a in run.tables["alarms"]]
    columns = ("run", "judge", "votes read, %", "tied pairs, %", "votes that agree, %", "mean score")
    lead = (
        "The last model of each run as a judge of held-out answers. What each sentence means stands in the report "
        "of a single run."
    )
    blocks: list[Block] = [Text(f"Alarm. {said}", "alarm") for said in alarms] or [Text("No alarm in any run.", "good")]
    return Section("judges", "Judges", lead, [*blocks, Table("Health of the judges", columns, rows, True)])


def rounds(several: Several) -> Section:
    """How many pairs or examples each round of each run was left with."""
    names = list(dict.fromkeys(name for run in several.runs for name in run.rounds))
    rows = [
        [run.tables["run"], *(_lesson_size(run.tables["counts"].get(name, {})) for name in names)]
        for run in several.runs
    ]
    lead = (
        "What the rounds were left with to teach: pairs of a better and a worse answer, or perfect answers to imitate."
    )
    columns = ("run", *(f"round to {model(name)}" for name in names))
    return Section("rounds", "What the rounds taught", lead, [Table("Lessons", columns, rows, True)])


def _lesson_size(counts: Mapping[str, float]) -> str:
    if "pairs/pairs" in counts:
        return f"{number(counts['pairs/pairs'])} pairs of {number(counts.get('pairs/prompts'))} prompts"
    return f"{number(counts['examples/new'])} answers" if "examples/new" in counts else NOTHING


def cost(several: Several) -> Section:
    """The time of every run by kind."""
    kinds = ("prompts", "responses", "judgements", "train", "measuring", "other")
    rows = []
    for run in several.runs:
        parts = by_kind(run.tables["time"]).values()
        seconds = [sum(of_part.get(kind, 0.0) for of_part in parts) for kind in kinds]
        rows.append([run.tables["run"], duration(sum(seconds)), *map(duration, seconds)])
    lead = "All launches of each run together."
    columns = ("run", "all", "writing prompts", "responding", "judging", "training", "measuring", "other")
    return Section("cost", "Time", lead, [Table("Time by kind", columns, rows, True)])


def settings(several: Several) -> Section:
    """Where the recipes differ from the first run's."""
    first = several.runs[0].recipe
    rows = []
    for name, group in zip(several.names[1:], several.groups[1:], strict=True):
        free = (*store.FREE_TO_CHANGE, "name:", "seed:")
        unlike = [line for line in differences(first, group[0].recipe) if not line.startswith(free)]
        rows.append([name, "; ".join(unlike) or "nothing but the first model"])
    if not rows:
        said = f"All are of one recipe, with the seeds {listed([str(run.recipe.seed) for run in several.runs])}."
        return Section("settings", "Recipes", "", [Text(said)])
    lead = "“There” is the first run, “given” the other."
    return Section(
        "settings", "Recipes", lead, [Table(f"Differences to {several.names[0]}", ("runs", "what differs"), rows, True)]
    )
