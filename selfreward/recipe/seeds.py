"""Where the human data come from, and how the EFT seed is made of them (section 3.1.1)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from selfreward.recipe.fields import AtLeastTwo, Count, Section, Share, Temperature, Whole, cited

Form = Literal[
    "open_assistant_trees", "open_assistant_messages", "prompt_completion", "messages", "ranked", "alpaca", "sharegpt"
]  # fmt: skip
MICRO = "micro"


class Source(Section):
    """Where data is read, and how. Written as a name alone (`ift: alpaca.json`), it is the path."""

    path: str = Field(
        min_length=1,
        description="a .jsonl, .json or .parquet file (text may be .gz), a folder of them, or org/name on the hub",
    )
    form: Form | None = cited(None, "none: told from the columns of the first row")
    split: str | None = cited(None, "of a folder or a hub data set: train, or train+validation; none is train")
    subset: str | None = cited(None, "of a hub data set that has several")
    revision: str | None = cited(None, "of a hub data set: a commit, tag or branch; none is the newest")
    language: str | None = cited(None, "of Open Assistant prompts: a code, or any; none is en, as in 3.1.1")

    @model_serializer(mode="wrap")
    def _name_alone(self, handler: SerializerFunctionWrapHandler) -> Any:
        """The path where nothing else is said, else what is said."""
        said = {key: value for key, value in handler(self).items() if value is not None}
        return self.path if said.keys() == {"path"} else said


def _path_of_name(value: object) -> object:
    """A name alone as the mapping it stands for."""
    return {"path": value} if isinstance(value, str) else value


SourceOrName = Annotated[Source, BeforeValidator(_path_of_name, json_schema_input_type=str | Source)]


class Seeds(Section):
    """The human data: IFT (instruction, response) and EFT (ranked responses). Section 3.1.1."""

    source: SourceOrName | None = cited(
        None,
        "what `ift` or `ranked` do not name; none of the three: micro, the embedded default. A run's seed/ will do",
    )
    ift: SourceOrName | None = cited(None, "instructions with the response to imitate; none: from `source`")
    ranked: SourceOrName | None = cited(None, "prompts with several ranked responses; none: from `source`")
    evaluation: SourceOrName | None = cited(None, "ranked responses for evaluation; none: held out from the ranked")
    num_ift: Count = cited(3200, "3.1.1: 3,200 examples, Open Assistant, English, first turn, rank 0")
    num_eft_prompts: Whole = cited(1200, "not stated; 3.1.1 keeps 1,630 examples, about 570 prompts, once filtered")
    num_ranked_responses: AtLeastTwo = cited(
        3, "3.1.1: 2.85 ranked responses to an instruction on average; for the micro-world, which writes its own"
    )
    max_chars: Count = cited(
        6000,
        "not stated; prompt and response together: in English they and the judge's rubric then mostly fit sft.max_tokens",
    )
    bad_lines: Literal["error", "skip"] = cited(
        "error", "a line that cannot be read: stop at it, or leave it out, counted"
    )

    @model_validator(mode="before")
    @classmethod
    def _micro_by_default(cls, values: object) -> object:
        named = ("source", "ift", "ranked", "evaluation")
        if isinstance(values, Mapping) and all(values.get(key) is None for key in named):
            return {**values, "source": MICRO}
        return values

    @model_validator(mode="after")
    def _every_part_once(self) -> Self:
        parts = (self.ift, self.ranked, self.evaluation)
        if self.is_micro and (any(parts) or self.source != Source(path=MICRO)):
            raise ValueError(
                "micro is the whole source and takes no more settings: name another source, or ift and ranked"
            )
        if self.source is None and not (self.ift and self.ranked):
            raise ValueError(
                f"{'ranked' if self.ift else 'ift'} has no source: name it, or a `source` for what is not named"
            )
        if self.source and self.ift and self.ranked:
            raise ValueError("source is not needed where ift and ranked are both named: leave it out")
        return self

    @property
    def is_micro(self) -> bool:
        """Whether the seeds are those of the micro-world, whose truth is known."""
        return self.source is not None and self.source.path == MICRO


class Eft(Section):
    """How the SFT baseline writes the justifications of the EFT examples. Section 3.1.1."""

    temperature: Temperature = cited(0.7, "not stated for this step; as for judging in 3.1.3")
    top_p: Share = cited(0.9, "not stated for this step; as for judging in 3.1.3")
    max_tokens: Count = cited(256, "a justification has at most 100 words (figure 2)")
    attempts: Count = cited(1, "not stated; judgements written of each response, the first that agree are kept")
    min_words: Whole = cited(
        0, "not stated; words of a judgement, its score aside: one that gives no reasons teaches none"
    )
    max_share: Share = cited(0.4, "3.1.1 thins the most common score out, without saying how far")
