"""Judges that need more of a round than an engine: other models of the run, or all responses to a prompt together.

Each takes the round and the responses and returns their judgements, filled into the round's file; it is named in the recipe
as any judge is (`judge.name`).
"""

from collections.abc import Callable, Sequence
from itertools import combinations, groupby
from pathlib import Path
from typing import Any, Protocol

from selfreward import store
from selfreward.engines.opening import Engines, judge_name
from selfreward.errors import BadInput
from selfreward.judges import JUDGES, filling, pairwise, reward_model
from selfreward.judges.shown import judge_prompt
from selfreward.judges.votes import make_judgement
from selfreward.named import find
from selfreward.progress import Progress
from selfreward.recipe import Recipe
from selfreward.records import Judgement, Response, Vote
from selfreward.templates import render


class Judged(Protocol):
    """What these judges know of a `Round`, which imports this module."""

    k: int
    folder: Path
    recipe: Recipe
    progress: Progress
    engines: Engines
    model_path: Callable[[int], str]
    before: int

    def reward_model(self) -> Path:
        """The folder of the run's reward model."""

    def implicit(self, responses: Sequence[Response], policy: int, base: int) -> list[Judgement]:
        """Judgements by the implicit reward of M_policy over M_base."""

    def fill(self, name: str, record_type: Any, wanted: Any, key: Any, make: Any) -> Any:
        """`store.fill` of a file of the round."""


def by_reward_model(round: Judged, responses: Sequence[Response]) -> Sequence[Judgement]:
    """A model of people's rankings that is frozen (Ouyang et al. 2022, arXiv 2203.02155); scores are its rewards."""
    path = round.folder / store.JUDGEMENTS_FILE
    return reward_model.judge_into(path, responses, round.reward_model(), round.recipe, round.progress)


def implicit(round: Judged, responses: Sequence[Response]) -> Sequence[Judgement]:
    """What the model of the round finds likelier than the model before it (Rafailov et al. 2023, arXiv 2305.18290), nats."""
    return _kept(round, round.implicit(responses, policy=round.k - 1, base=0 if round.k == 2 else round.before))


def two_by_two(round: Judged, responses: Sequence[Response]) -> Sequence[Judgement]:
    """Every two responses to a prompt are compared, in both orders; a score is the share of comparisons that one wins, 0..1.

    A tie, and two verdicts that differ, are half a win for either; a comparison that cannot be read is a vote without a score.
    """
    settings, model = round.recipe.judge, store.model_name(round.k - 1)
    name = judge_name(settings.engine, model)
    groups = [list(group) for _, group in groupby(responses, key=lambda response: response.prompt_id)]
    asked = {
        (one.id, other.id): pairwise.Pair(one.prompt, one.text, other.text)
        for group in groups
        for one, other in combinations(group, 2)
    }
    read: pairwise.Read = "probabilities" if settings.read == "direct" else "written"

    def compare(batch: list[pairwise.Pair]) -> list[pairwise.Meeting]:
        engine = round.engines.of(round.model_path(round.k - 1), settings.engine)
        return pairwise.compare(engine, batch, settings.compare, read)

    pairs = list({pair.id: pair for pair in asked.values()}.values())
    held = {
        one.id: one for one in round.fill(store.MEETINGS_FILE, pairwise.Meeting, pairs, lambda pair: pair.id, compare)
    }
    votes: dict[str, list[Vote]] = {response.id: [] for response in responses}
    for (one, other), pair in asked.items():
        for id, number in ((one, 1), (other, 2)):
            votes[id].append(_won(held[pair.id], number))
    return _kept(round, [make_judgement(one, votes[one.id], name, settings.quorum) for one in responses])


def ensemble(round: Judged, responses: Sequence[Response]) -> Sequence[Judgement]:
    """Several ways to ask, each the model's or an engine's of its own; a response on which they disagree has no score.

    The score is the mean of all votes; members disagree where their means are further apart than `judge.agreement`.
    """
    settings, model = round.recipe.judge, store.model_name(round.k - 1)
    name = judge_name(settings.engine, model)
    each = [
        filling.judge_into(
            round.folder / store.MEMBERS_JUDGEMENTS_FILE.format(place=place), responses, member, round.recipe,
            round.engines, round.model_path(round.k - 1), judge_name(member.engine, model), round.progress,
        )
        for place, member in enumerate(settings.panel(), 1)
    ]  # fmt: skip
    judgements = []
    for response, *said in zip(responses, *each, strict=True):
        means = [one.score for one in said if one.score is not None]
        whole = make_judgement(
            response, [vote for one in said for vote in one.votes], name, settings.quorum, max(one.cut for one in said)
        )
        agree = len(means) == len(said) and max(means) - min(means) <= settings.agreement
        judgements.append(whole if agree else whole.model_copy(update={"score": None}))
    return _kept(round, judgements)


def _won(meeting: pairwise.Meeting, number: int) -> Vote:
    """What a meeting says of its answer 1 or 2."""
    text = "\n\n".join(verdict.text for verdict in meeting.verdicts).strip()
    fault = next((verdict.fault for verdict in meeting.verdicts if verdict.fault), None)
    if fault:
        return Vote(score=None, fault=fault, text=text)
    wins = [0.5 if verdict.winner == 0 else float(verdict.winner == number) for verdict in meeting.verdicts]
    return Vote(score=wins[0] if wins[0] == wins[1] else 0.5, fault=None, text=text)


def _kept(round: Judged, judgements: Sequence[Judgement]) -> Sequence[Judgement]:
    """The judgements, in the round's file; behind those that are there, as a round may judge in several goes."""
    found: Sequence[Judgement] = round.fill(
        store.JUDGEMENTS_FILE, Judgement, judgements, lambda one: one.id, lambda batch: batch
    )
    return found


RoundJudge = Callable[[Any, Sequence[Response]], Sequence[Judgement]]
ROUND_JUDGES: dict[str, RoundJudge] = {
    "reward_model": by_reward_model,
    "implicit": implicit,
    "pairwise": two_by_two,
    "ensemble": ensemble,
}


def check_judge(recipe: Recipe) -> None:
    """BadInput where there is no judge of the recipe's name, of a round or of one response, or it lacks what it needs."""
    ours: dict[str, Callable[..., Any]] = {**JUDGES, **ROUND_JUDGES}
    find(recipe.judge.name, ours, "judge.name")
    stopping = recipe.training.early_stopping
    if recipe.judge.name in ROUND_JUDGES and stopping and stopping.by == "scores":
        todo = "choose pairwise or health, or another judge"
        raise BadInput(
            f"scores is for judges of single responses, not {recipe.judge.name}", "training.early_stopping.by", todo
        )
    if recipe.judge.name == "implicit" and recipe.engine.name in ("server", "vllm"):
        todo = "choose local or ray, or another judge"
        raise BadInput(
            "the judge implicit needs likelihoods of whole responses, which servers do not give", "engine.name", todo
        )
    if recipe.judge.name == "pairwise":
        render("pairwise", recipe.judge.compare, prompt="", first="", second="")
        if recipe.judge.read == "direct":
            pairwise.begin_of(recipe.judge.compare)
    if recipe.judge.members:
        for member in recipe.judge.panel():
            judge_prompt(member.template, "", "")
    if recipe.judge.name == "reward_model":
        check_reward_model(recipe, "the judge reward_model")


def check_reward_model(recipe: Recipe, who: str) -> None:
    """BadInput where `who` wants a reward model and none can be trained: no rankings, or a batch that does not divide."""
    if not recipe.seeds.num_eft_prompts:
        todo = "set it to the number of ranked prompts to train on"
        raise BadInput(f"is 0, and {who} needs people's rankings", "seeds.num_eft_prompts", todo)
    batch, processes = recipe.reward_model.batch, recipe.training.processes
    if batch % processes:
        what = f"a batch of {batch} does not divide evenly among {processes} processes"
        raise BadInput(what, "reward_model.batch", "change one of the two")
