"""Which snapshot of a training becomes the model (arXiv 2401.10020, section 3.1.3: early stopping on validation prompts).

The paper has a judge compare the answers of a checkpoint with those of the checkpoint before. Snapshots are walked through
in the order of their steps until one, or several in a row, do not win; the last that won becomes the model, and the others are
deleted. Who judges is the judge of the rounds, or each snapshot is looked at as a judge itself. The micro-world's truth has
no part in it.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.engines.base import Sampling
from selfreward.engines.opening import Engines, judge_name
from selfreward.errors import StageFailed
from selfreward.evaluation.evaluate import measured_judge
from selfreward.evaluation.health import judge_health
from selfreward.evaluation.pinned import TEMPLATE
from selfreward.evaluation.verdicts import Verdict, Winner, higher, shares, tally
from selfreward.guards import judge_alarms
from selfreward.judges.filling import judge_into
from selfreward.judges.pairwise import Meeting, Pair, compare
from selfreward.progress import Progress
from selfreward.recipe import EarlyStopping, Recipe
from selfreward.records import Prompt, RankedSet, Response, digest
from selfreward.responses import Responses, Samples, ranked_responses, sample

# What is found of a snapshot, beside the best one so far if there is one: whether the walk goes on from it, and the figures.
Look = Callable[[int, int | None], tuple[bool, dict[str, Any]]]


def choose_snapshot(
    folder: Path,
    before: tuple[str, str],
    recipe: Recipe,
    sets: Sequence[RankedSet],
    engines: Engines,
    progress: Progress,
) -> None:
    """Makes the best snapshot in `folder / "snapshots"` the model and deletes the others; early_stopping.json says why.

    `before` are name and folder of M_{k-1}, who judges where no judge has an engine of its own; `sets` are the validation
    seed. StageFailed where not one comparison of two snapshots could be read.
    """
    snapshots, model = folder / store.SNAPSHOTS_FOLDER, folder / store.MODEL_FOLDER
    if not model.exists():
        path = folder / store.EARLY_STOPPING_FILE
        if not path.exists():
            store.write_json(path, _story(_Asked(folder, before, recipe, sets, engines, progress)))
        engines.close()  # who holds a snapshot's files lets go of them
        store.moved(snapshots / f"step-{store.read_json(path)['chosen']}", model)
    shutil.rmtree(snapshots, ignore_errors=True)


def walk(steps: Sequence[int], look: Look, patience: int) -> tuple[int, list[dict[str, Any]]]:
    """The step of the best snapshot, and what was found of each that was looked at.

    Each is looked at beside the best so far: with a patience of 1 that is the one before, as in the paper. The walk ends after
    `patience` of them in a row that are no better. The first is the best where none is good.
    """
    best: int | None = None
    misses = 0
    found = []
    for step in steps:
        better, figures = look(step, best)
        found.append({"step": step, "against": best, "better": better, **figures})
        best, misses = (step, 0) if better else (best, misses + 1)
        if misses == patience:
            break
    return (steps[0] if best is None else best), found


def _story(asked: "_Asked") -> dict[str, Any]:
    """What early_stopping.json holds."""
    settings = asked.settings
    look: Look = {"scores": asked.by_scores, "pairwise": asked.by_verdicts, "health": asked.by_health}[settings.by]
    steps = sorted(int(path.name.removeprefix("step-")) for path in asked.snapshots.glob("step-*[0-9]"))
    chosen, looked_at = walk(steps, look, settings.patience)
    return {
        "by": settings.by, "judge": asked.judge, "every": settings.every, "patience": settings.patience,
        "num_prompts": len(asked.sets), "steps": steps, "looked_at": looked_at, "chosen": chosen,
        "why": _why(looked_at, settings),
    }  # fmt: skip


def _why(looked_at: Sequence[dict[str, Any]], settings: EarlyStopping) -> str:
    """What ended the walk, in words."""
    last = looked_at[-1]
    misses = [one for one in looked_at[-settings.patience :] if not one["better"]]
    if len(misses) < settings.patience:
        return "no snapshot ended the walk"
    many = f"the last {len(misses)} snapshots looked at are no better; " if len(misses) > 1 else ""
    if settings.by == "health":
        return f"{many}step {last['step']} as a judge: {'; '.join(last['alarms'])}"
    low, high = last["ci95"]
    net = f"net {last['net']:.1f} [{low:.1f}, {high:.1f}]"
    return f"{many}step {last['step']} does not win against step {last['against']}: {net}"


class _Asked:
    """What the snapshots of one training are asked, and what is found of them."""

    def __init__(
        self, folder: Path, before: tuple[str, str], recipe: Recipe, sets: Sequence[RankedSet], engines: Engines,
        progress: Progress,
    ) -> None:  # fmt: skip
        assert recipe.training.early_stopping is not None
        self.settings = recipe.training.early_stopping
        self.folder, self.recipe, self.sets, self.engines, self.progress = folder, recipe, sets, engines, progress
        name, self.judge_folder = before
        self.judge = "each snapshot" if self.settings.by == "health" else judge_name(recipe.judge.engine, name)
        self.snapshots = folder / store.SNAPSHOTS_FOLDER

    def by_scores(self, step: int, best: int | None) -> tuple[bool, dict[str, Any]]:
        """Wins are prompts on which the judge of the rounds scores the answer higher; answers that say the same tie."""
        if best is None:
            return True, {}
        (ours, our_scores), (theirs, their_scores) = (self._scored(one) for one in (step, best))
        outcomes: list[Winner | None] = [
            0 if one.text == other.text else higher(*scores)
            for one, other, *scores in zip(ours, theirs, our_scores, their_scores, strict=True)
        ]
        return self._is_better(step, best, ours, theirs, shares(outcomes, self.recipe.seed))

    def by_verdicts(self, step: int, best: int | None) -> tuple[bool, dict[str, Any]]:
        """Wins are prompts on which the judge prefers the answer in both orders."""
        if best is None:
            return True, {}
        ours, theirs = (self._responses(one) for one in (step, best))
        pairs = [Pair(one.prompt, one.text, other.text) for one, other in zip(ours, theirs, strict=True)]
        options = self.recipe.judge.engine or self.recipe.engine
        meetings = store.fill(
            self.folder / store.VALIDATION_MEETINGS_FILE,
            Meeting,
            pairs,
            lambda pair: pair.id,
            lambda batch: compare(self.engines.of(self.judge_folder, options), batch, TEMPLATE, "written"),
            options.batch_size,
            self.progress,
        )
        verdicts = [
            Verdict(id=meeting.id, order=verdict.order, winner=verdict.winner)
            for meeting in meetings
            for verdict in meeting.verdicts
        ]
        return self._is_better(step, best, ours, theirs, tally(verdicts, self.recipe.seed))

    def by_health(self, step: int, best: int | None) -> tuple[bool, dict[str, Any]]:
        """Good is a snapshot that, as a judge of the responses in the validation seed, passes no limit of a guard that looks."""
        judgements = judge_into(
            self.folder / store.VALIDATION_JUDGEMENTS_FILE, ranked_responses(self.sets), measured_judge(self.recipe),
            self.recipe, self.engines, str(self.snapshots / f"step-{step}"), self._name(step), self.progress,
        )  # fmt: skip
        guards = self.recipe.guards
        alarms = [one for one in judge_alarms(judgements, guards) if getattr(guards, one.guard).action != "off"]
        health = judge_health(judgements)
        figures = {name: health[name] for name in ("readable", "tie_rate", "score_entropy_bits")}
        return not alarms, {**figures, "alarms": [alarm.said for alarm in alarms]}

    def _is_better(
        self, step: int, best: int, ours: Sequence[Response], theirs: Sequence[Response], found: dict[str, Any]
    ) -> tuple[bool, dict[str, Any]]:
        """Whether wins outnumber losses; and the figures, `identical` answers, which tie unseen, among them."""
        if not found["n"]:
            raise StageFailed(
                f"of {found['prompts']} comparisons of steps {step} and {best} none could be read",
                self.folder,
                "start another run with another judge (judge.engine) or training.early_stopping.by",
            )
        identical = sum(one.text == other.text for one, other in zip(ours, theirs, strict=True))
        return found["wins"] > found["losses"], {**found, "identical": identical}

    def _name(self, step: int) -> str:
        return f"{self.folder.name}-step-{step}"

    def _responses(self, step: int) -> Sequence[Response]:
        """One answer of a snapshot to each prompt of the validation seed, in their order.

        A prompt's id names who was asked as well, so that one file holds the answers of all; the random numbers are the same
        for all, so that what differs is the snapshots' doing.
        """
        name, settings = self._name(step), self.recipe.responses
        sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
        prompts = [
            Prompt(id=digest("prompt", name, one.prompt), text=one.prompt, source="validation") for one in self.sets
        ]
        return Samples(
            store.fill(
                self.folder / store.VALIDATION_RESPONSES_FILE,
                Responses,
                prompts,
                lambda prompt: prompt.id,
                lambda batch: sample(
                    self.engines.of(str(self.snapshots / f"step-{step}")),
                    batch,
                    1,
                    sampling,
                    name,
                    self.recipe.seed,
                    stream="validation",
                ),
                self.recipe.engine.batch_size,
                self.progress,
            )
        )

    def _scored(self, step: int) -> tuple[Sequence[Response], list[float | None]]:
        """The answers of a snapshot and their scores, points."""
        responses = self._responses(step)
        judgements = judge_into(
            self.folder / store.VALIDATION_JUDGEMENTS_FILE, responses, self.recipe.judge, self.recipe, self.engines,
            self.judge_folder, self.judge, self.progress,
        )  # fmt: skip
        return responses, [judgement.score for judgement in judgements]
