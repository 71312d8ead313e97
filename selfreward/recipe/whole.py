"""The whole recipe: its sections in the order of a run, what is true of several of them, and how two recipes differ."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from selfreward.errors import BadInput
from selfreward.recipe.engines import EngineOptions
from selfreward.recipe.faults import faults
from selfreward.recipe.fields import Count, Positive, Section, Share, Whole, cited
from selfreward.recipe.guards import Guards
from selfreward.recipe.round import Judge, LessonOptions, MetaJudge, Pairs, Prompts, Responses
from selfreward.recipe.seeds import Eft, Seeds
from selfreward.recipe.training import Adapter, Dpo, RewardModel, Rl, Sft, Training

SCHEDULED = (
    "strategy",
    "prompts",
    "responses",
    "judge",
    "pairs",
    "lesson",
    "sft",
    "dpo",
    "rl",
)  # what may differ from round to round


class Chat(Section):
    """How prompts are put into turns. The paper does not print its template."""

    template: str | None = cited(
        None, "none: the model's own; a model without one needs a shipped template or a .jinja file"
    )


class Evaluation(Section):
    """What every model is measured on. Section 3.1.2."""

    num_prompts: Count = cited(256, "3.1.2: 256 held-out prompts, head to head")
    num_samples: Count = cited(1, "3.1.2: one answer to each")
    split: Literal["dev", "test"] = cited("test", "micro-world: tune on dev, report on test")
    num_ranked_sets: Count = cited(190, "3.1.1: 541 ranked responses, 2.85 to an instruction")
    votes: Count = cited(3, "3.1.3: 3 judgements, as in training")


class Shape(Section):
    """The size of a model, for one that is not here to be looked at."""

    parameters: Positive
    layers: Count
    width: Count  # of the residual stream
    kv_width: Count  # of the keys of one token in one layer: key heads x head size
    vocabulary: Count


class Plan(Section):
    """What `selfreward plan` assumes. Nothing that a run does depends on it."""

    hardware: str = cited("this", "this machine, measured; or h200, h100, a100, rtx4090, l4")
    devices: Count = cited(1, "over which models are sharded while generating; training has training.processes")
    shape: Shape | None = cited(None, "read from the model's folder; needed for a model on the hub")
    prompt_tokens: Count = cited(60, "an instruction of Open Assistant has about 40 words")
    response_tokens: Count = cited(400, "arXiv 2401.10020, table 1: 1,092 to 2,552 characters")
    judgement_tokens: Count = cited(130, "a justification has at most 100 words (figure 2)")
    evidence_tokens: Whole = cited(150, "beside a response that a grounded judge sees: three passages of 40 words")
    accepted: Share = cited(0.7, "of the attempts at a new prompt, those that pass the filters")
    paired: Share = cited(0.75, "of the prompts, those whose scores are not all equal")
    eft_kept: Share = cited(0.45, "3.1.1: 1,630 kept of about 3,600 judged; of ranked responses")
    judge_price: tuple[Positive, Positive] | None = cited(
        None, "of a judge on a server (judge.engine), for a million tokens read and a million written"
    )


class Recipe(Section):
    """A whole run: M0 -> SFT -> M1 -> `rounds` rounds of strategy and training."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="letters, digits, dot, dash; names the run folder"
    )
    model: str = cited("micro-m0", "M0: micro-m0 (embedded), a folder of safetensors, or org/name on the hub")
    revision: str | None = cited(None, "commit, tag or branch of a hub model; none: main. The stamp holds the commit")
    chat: Chat = cited(Chat(), Chat.__doc__ or "")
    rounds: Count = cited(2, "section 3: two rounds of DPO, which make M2 and M3")
    strategy: str = cited("self_rewarding", "section 2; other strategies turn a round into another lesson")
    seed: Whole = cited(0, "every random choice follows from it and from content")
    seeds: Seeds = cited(Seeds(), Seeds.__doc__ or "")
    eft: Eft = cited(Eft(), Eft.__doc__ or "")
    prompts: Prompts = cited(Prompts(), Prompts.__doc__ or "")
    responses: Responses = cited(Responses(), Responses.__doc__ or "")
    judge: Judge = cited(Judge(), Judge.__doc__ or "")
    pairs: Pairs = cited(Pairs(), Pairs.__doc__ or "")
    meta_judge: MetaJudge = cited(MetaJudge(), MetaJudge.__doc__ or "")
    lesson: LessonOptions = cited(LessonOptions(), LessonOptions.__doc__ or "")
    sft: Sft = cited(Sft(), Sft.__doc__ or "")
    dpo: Dpo = cited(Dpo(), Dpo.__doc__ or "")
    reward_model: RewardModel = cited(RewardModel(), RewardModel.__doc__ or "")
    rl: Rl = cited(Rl(), Rl.__doc__ or "")
    training: Training = cited(Training(), Training.__doc__ or "")
    adapter: Adapter = cited(Adapter(), Adapter.__doc__ or "")
    engine: EngineOptions = cited(EngineOptions(), EngineOptions.__doc__ or "")
    guards: Guards = cited(Guards(), Guards.__doc__ or "")
    evaluation: Evaluation = cited(Evaluation(), Evaluation.__doc__ or "")
    plan: Plan = cited(Plan(), Plan.__doc__ or "")
    tracking: tuple[Literal["tensorboard", "trackio", "wandb", "mlflow"], ...] = cited(
        (), "none: metrics.jsonl alone; else trackers that get the same scalars. The last two may send them elsewhere"
    )
    schedule: list[dict[str, Any]] = cited(
        [],
        "2.5: every round alike; else what is different in the first, the second ... as in `- {dpo.beta: 0.5, prompts.num: 800}`; "
        "the last entry holds for all later ones",
    )

    @field_validator("engine")
    @classmethod
    def _one_model_for_all_rounds(cls, engine: EngineOptions) -> EngineOptions:
        if engine.name == "server" and engine.server.model:
            raise ValueError(
                "with server.model every M_k would be this one model; name it in judge.engine, or leave it out"
            )
        return engine

    @field_validator("schedule")
    @classmethod
    def _rounds_may_differ(cls, schedule: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for place, entry in enumerate(schedule):
            for path in entry:
                if path.partition(".")[0] not in SCHEDULED:
                    raise ValueError(f"entry {place + 1}: {path} is one for all rounds; those that may differ are of "
                                     f"{', '.join(SCHEDULED)}")  # fmt: skip
        return schedule

    @model_validator(mode="after")
    def _every_round_is_a_recipe(self) -> Self:
        if len(self.schedule) > self.rounds:
            raise ValueError(
                f"schedule: has {len(self.schedule)} entries for {self.rounds} rounds: raise rounds, or leave entries out"
            )
        for place in range(len(self.schedule)):
            try:
                self.of_round(place + 2)
            except ValidationError as error:
                leaves = [path for path, _ in flat(self.model_dump())]
                raise ValueError(f"schedule, entry {place + 1}: {faults(error, type(self), leaves)}") from None
        for k in range(2, self.rounds + 2):
            options = self.of_round(k).lesson
            for role in ("start", "reference"):
                if options.place_of(getattr(options, role), k) >= k:
                    raise ValueError(f"lesson.{role}: {getattr(options, role)} is not there yet when M{k} is made")
        return self

    def of_round(self, k: int) -> "Recipe":
        """The recipe of the round that makes M_k: with what the schedule changes in it, and without a schedule.

        Models before M2 are made by no round: for them the schedule changes nothing.
        """
        if not self.schedule:
            return self
        values = self.model_dump(exclude={"schedule"})
        for path, value in flat(self.schedule[min(k - 2, len(self.schedule) - 1)] if k >= 2 else {}):
            *sections, key = path.split(".")
            inner = values
            for section in sections:
                if not isinstance(inner.get(section), dict):  # an optional section that is not there, or no section
                    inner[section] = {}
                inner = inner[section]
            inner[key] = value
        return type(self).model_validate(values)

    @property
    def engines(self) -> list[EngineOptions]:
        """The engine of the run, and the judge's where it has one of its own."""
        return [self.engine, *([self.judge.engine] if self.judge.engine else [])]

    @classmethod
    def of(cls, values: object, where: object = "recipe") -> Self:
        """The recipe that plain values say; BadInput names every fault at once, each with its path (`dpo.beta`)."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            leaves = [path for path, _ in flat(cls(name="any").model_dump())]
            raise BadInput(faults(error, cls, leaves), where) from None


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every leaf of nested mappings, paths as in `dpo.beta`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differences(stored: Recipe, given: Recipe) -> list[str]:
    """`path: stored, given` of every leaf in which two recipes differ."""
    before, after = dict(flat(stored.model_dump())), dict(flat(given.model_dump()))
    return [
        f"{path}: {before.get(path)!r} there, {after.get(path)!r} given"
        for path in dict.fromkeys((*before, *after))  # an optional section has its leaves in one of the two alone
        if before.get(path) != after.get(path)
    ]


def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe, with the source of every default as its description."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}
