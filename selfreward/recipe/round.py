"""The steps of a round: new prompts, responses, judgements (section 2.2)."""

from typing import Any, Literal, Self

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator

from selfreward.recipe.engines import EngineOptions
from selfreward.recipe.faults import faults
from selfreward.recipe.fields import AtLeastTwo, Count, NotNegative, Part, Section, Share, Temperature, Whole, cited

MODEL = r"^(previous|start|sft|m[0-9]{1,4})$"  # names of models in a recipe

GROUNDED = "grounded"


class Prompts(Section):
    """New instructions by few-shot prompting, and the filters of Self-Instruct (arXiv 2212.10560). Section 2.2."""

    num: Count = cited(5000, "not stated; leaves about the 3,964 pairs of AIFT(M1) in 3.1.3 once ties are dropped")
    shots_seed: Whole = cited(6, "3.1.3: 8 examples, 6 of them from the IFT seed")
    shots_generated: Whole = cited(2, "3.1.3: 8 examples, 2 of them generated before")
    temperature: Temperature = cited(0.6, "3.1.3")
    top_p: Share = cited(0.9, "3.1.3")
    max_tokens: Count = cited(256, "room for the 150 words that the filter lets through")
    template: str = cited("few_shot", "not stated word for word; a shipped template or a .jinja file")
    min_words: Count = cited(4, "Self-Instruct drops instructions of 3 words or fewer")
    max_words: Count = cited(150, "Self-Instruct drops instructions of more than 150 words")
    max_rouge_l: Share = cited(0.7, "Self-Instruct drops ROUGE-L > 0.7 with any earlier one; exact copies always go")

    @field_validator("max_words")
    @classmethod
    def _words_in_order(cls, max_words: int, info: ValidationInfo) -> int:
        if max_words < info.data.get("min_words", 0):
            raise ValueError(f"must not be below min_words ({info.data['min_words']})")
        return max_words

    @field_validator("shots_generated")
    @classmethod
    def _some_shots(cls, shots_generated: int, info: ValidationInfo) -> int:
        if info.data.get("shots_seed", 1) + shots_generated < 1:
            raise ValueError("shots_seed and shots_generated must not both be 0")
        return shots_generated


class Responses(Section):
    """The N candidates for each prompt. Section 2.2."""

    num_samples: AtLeastTwo = cited(4, "3.1.3: N = 4")
    temperature: Temperature = cited(0.7, "3.1.3")
    top_p: Share = cited(0.9, "3.1.3")
    max_tokens: Count = cited(1024, "not stated; M3's answers to AlpacaEval have 2,552 characters on average")


class Judge(Section):
    """Who scores the candidates, and how often. Section 2.2 and figure 2."""

    name: str = cited(
        "llm",
        "2.2: llm, the model judges itself; grounded, it is shown what a database says; reward_model, a frozen one on people's "
        "rankings; or package.module:function",
    )
    template: str = cited("additive", "figure 2: five additive points; a shipped template or a .jinja file")
    votes: Count = cited(3, "3.1.3: 3 judgements of each response, averaged")
    temperature: Temperature = cited(0.7, "3.1.3: the settings of the candidates")
    top_p: Share = cited(0.9, "3.1.3: the settings of the candidates")
    max_tokens: Count = cited(256, "a justification has at most 100 words (figure 2)")
    quorum: Count = cited(1, "not stated; readable votes that a response must have to be scored at all")
    too_long: Literal["refuse", "truncate"] = cited(
        "refuse",
        "not stated; a response too long for the judge's context gets no score, or is cut where the judge sees it",
    )
    read: Literal["votes", "expected", "direct"] = cited(
        "votes",
        "2.2: votes, the points that it writes; expected: their mean under its own probabilities, after each "
        "justification; direct: the same, asked without one",
    )
    begin: str | None = cited(
        None,
        "not stated; what a judge that is read directly is made to say before its points; none: its template's `begin`",
    )
    engine: EngineOptions | None = cited(None, "the judge's own engine; none: the engine of the run")
    compare: str = cited(
        "forced_choice",
        "arXiv 2401.10020, 3.1.2: in both orders; the template with which `name: pairwise` compares responses",
    )
    members: list[dict[str, Any]] = cited(
        [], "not in the paper; what is different in each judge of `name: ensemble`, as in `- {template: score_first}`"
    )
    agreement: NotNegative = cited(
        1.0, "not in the paper; an ensemble whose members' scores are further apart, in points, gives a response none"
    )
    database: str | None = cited(
        None,
        "not in the paper; where a grounded judge looks things up: what `selfreward index` made, the URL of a server, or "
        "micro, the almanac of the micro-world",
    )
    passages: Count = cited(3, "not in the paper; passages that a grounded judge is shown, at most")

    @property
    def own_name(self) -> str:
        """How a model is asked for a judgement of its own, whoever else the recipe's judge may be."""
        return GROUNDED if self.name == GROUNDED else "llm"

    @field_validator("read")
    @classmethod
    def _one_direct_vote(cls, read: str, info: ValidationInfo) -> str:
        if read == "direct" and info.data.get("votes", 1) != 1:
            raise ValueError("direct gives one vote, the same each time: set votes to 1")
        return read

    @field_validator("begin")
    @classmethod
    def _only_direct_begins(cls, begin: str | None, info: ValidationInfo) -> str | None:
        if begin is not None and info.data.get("read", "direct") != "direct":
            raise ValueError("is for read: direct alone")
        return begin

    @model_validator(mode="after")
    def _members_of_an_ensemble(self) -> Self:
        if bool(self.members) != (self.name == "ensemble") or len(self.members) == 1:
            raise ValueError("judge.members are two or more for name: ensemble, and none for other judges")
        for place, member in enumerate(self.members):
            if {"name", "members", "agreement", "compare"} & member.keys():
                raise ValueError(
                    f"member {place + 1}: a member is the model, asked in its own way: template, votes, engine ..."
                )
        try:
            self.panel()
        except ValidationError as error:
            raise ValueError(f"members: {faults(error, Judge, list(Judge.model_fields))}") from None
        return self

    def panel(self) -> list["Judge"]:
        """The members of an ensemble, each with what is different in it."""
        own = self.model_dump(exclude={"name", "members", "agreement", "compare"})
        return [Judge.model_validate(own | member) for member in self.members]

    @model_validator(mode="after")
    def _database_is_used(self) -> Self:
        if self.name == GROUNDED and not self.database:
            raise ValueError("grounded looks things up: name a database (judge.database)")
        if self.database and self.name != GROUNDED and ":" not in self.name:
            raise ValueError(
                "only the judge `grounded` looks at a database: set judge.name, or leave judge.database out"
            )
        return self

    @field_validator("quorum")
    @classmethod
    def _quorum_can_be_met(cls, quorum: int, info: ValidationInfo) -> int:
        if quorum > info.data.get("votes", quorum):
            raise ValueError(f"must not be above votes ({info.data['votes']})")
        return quorum


class Pairs(Section):
    """Which pairs are made of the judgements. Section 2.3."""

    name: str = cited("best_vs_worst", "2.3: the best response against the worst; or package.module:function")
    min_margin: NotNegative = cited(0.0, "2.3: any difference of the two scores will do; points")
    rho: Part = cited(
        0.0,
        "2.3: the best against the worst; above 0 (Meta-Rewarding, arXiv 2407.19594, section 2.3) the shortest of those within "
        "this part of the range of scores below the best, against the longest of those within it above the worst",
    )
    answer: str = cited(
        "whole",
        "arXiv 2411.04109, section 3: what counts as the answer of a response where votes are counted: whole, last_line, "
        "last_number, or package.module:function",
    )
    replay: NotNegative = cited(
        0.0, "2.4: the round's own pairs alone; else so many times as many, at most, drawn from those of earlier rounds"
    )


class MetaJudge(Section):
    """How judgements are compared, for strategies that teach a judge by pairs of them (arXiv 2407.19594)."""

    template: str = cited("meta_judge", "arXiv 2407.19594, figure 2; a shipped pairwise template or a .jinja file")
    read: Literal["written", "probabilities", "consensus"] = cited(
        "written",
        "arXiv 2407.19594, section 2.2: the verdict that the model writes; probabilities: those of its two numbers; consensus: not "
        "asked, the judgement nearer to the mean of all votes is the better, for models too small to compare",
    )


class LessonOptions(Section):
    """Which models a lesson of pairs, or of RL, is about. Section 2.4."""

    start: str = cited("previous", "2.4: M_k is taught from M_{k-1}, previous; or m0, sft, m1 ...", pattern=MODEL)
    reference: str = cited("start", "2.4: DPO's reference is the model that it starts from; or m0, sft, m1 ...",
                           pattern=MODEL)  # fmt: skip

    def place_of(self, name: str, k: int) -> int:
        """The place k of a model that is named by `start` or `reference`, in the round that makes M_k."""
        if name == "start":
            name = self.start
        if name in ("previous", "start"):
            return k - 1
        return -1 if name == "sft" else int(name.removeprefix("m"))
