"""What a run is told to do: the recipe, a strict pydantic model, with the paper's value as each default.

Unknown keys fail and offer the nearest name. YAML in, JSON Schema out. Sections cited are those of Self-Rewarding
Language Models, Yuan et al. 2024, arXiv 2401.10020; "not stated" means that the paper gives no value.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from selfreward.errors import BadInput, nearest

_PACKAGE = Path(__file__).parent
_SHIPPED = _PACKAGE / "recipes"
RECIPE_FILE = "recipe.yaml"  # in a run folder


def _no_truth_value(value: object) -> object:
    """Refuses yes and no, which pydantic would read as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not yes or no")
    return value


def cited(default: Any, reason: str) -> Any:
    """A field's default with its source: a section of the paper, or why another value."""
    return Field(default, description=reason)


Whole = Annotated[int, BeforeValidator(_no_truth_value), Field(ge=0)]
Count = Annotated[int, BeforeValidator(_no_truth_value), Field(ge=1)]
Positive = Annotated[float, BeforeValidator(_no_truth_value), Field(gt=0, allow_inf_nan=False)]
Temperature = Annotated[float, BeforeValidator(_no_truth_value), Field(ge=0, le=10)]  # 0 is greedy
Share = Annotated[float, BeforeValidator(_no_truth_value), Field(gt=0, le=1)]
Dropout = Annotated[float, BeforeValidator(_no_truth_value), Field(ge=0, lt=1)]


class Section(BaseModel):
    """Frozen and strict; numbers written as text (`1e-6` in YAML) are read as the numbers they are."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Chat(Section):
    """How prompts are put into turns. The paper does not print its template."""

    template: str | None = cited(
        None, "none: the model's own; a model without one needs a shipped template or a .jinja file"
    )


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
    num_ranked_responses: Annotated[int, BeforeValidator(_no_truth_value), Field(ge=2)] = cited(
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

    num_samples: Annotated[int, BeforeValidator(_no_truth_value), Field(ge=2)] = cited(4, "3.1.3: N = 4")
    temperature: Temperature = cited(0.7, "3.1.3")
    top_p: Share = cited(0.9, "3.1.3")
    max_tokens: Count = cited(1024, "not stated; M3's answers to AlpacaEval have 2,552 characters on average")


class Judge(Section):
    """Who scores the candidates, and how often. Section 2.2 and figure 2."""

    name: str = cited("llm", "2.2: the model judges itself; or package.module:function")
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

    @field_validator("quorum")
    @classmethod
    def _quorum_can_be_met(cls, quorum: int, info: ValidationInfo) -> int:
        if quorum > info.data.get("votes", quorum):
            raise ValueError(f"must not be above votes ({info.data['votes']})")
        return quorum


def _final_rate(final_lr: float, info: ValidationInfo) -> float:
    """Refuses a learning rate that grows."""
    if final_lr > info.data.get("lr", final_lr):
        raise ValueError(f"must not be above lr ({info.data['lr']})")
    return final_lr


class Sft(Section):
    """Supervised fine-tuning on the seeds, loss on the response only. Section 3.1.3."""

    lr: Positive = cited(5.5e-6, "3.1.3")
    final_lr: Positive = cited(1.1e-6, "3.1.3: cosine decay to this rate")
    epochs: Count = cited(2, "not stated")
    batch: Count = cited(16, "3.1.3; examples per update, over all devices")
    dropout: Dropout = cited(0.1, "3.1.3")
    max_tokens: Count = cited(2048, "not stated; prompt and response together")

    _falling = field_validator("final_lr")(_final_rate)


class Dpo(Section):
    """Direct preference optimisation on the model's own pairs. Section 3.1.3; DPO is arXiv 2305.18290."""

    beta: Positive = cited(0.1, "3.1.3")
    lr: Positive = cited(1e-6, "3.1.3")
    final_lr: Positive = cited(1e-7, "3.1.3: decay to this rate")
    epochs: Count = cited(1, "not stated")
    batch: Count = cited(16, "3.1.3; pairs per update, over all devices")
    dropout: Dropout = cited(0.1, "3.1.3")
    max_tokens: Count = cited(2048, "not stated; prompt and response together")

    _falling = field_validator("final_lr")(_final_rate)


class Training(Section):
    """How the trainer uses the machine. The paper has no part in it."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = cited(
        "auto", "of the arithmetic: bfloat16 on a GPU, float32 on a CPU; weights that are trained stay in float32"
    )
    device_batch: Count | None = cited(
        None, "rows on a device at once, the others of its part follow; none: all, halved until they fit"
    )
    launcher: Literal["in_process", "accelerate", "ray_train"] = cited(
        "in_process", "in_process: in this process, on one device; the others start `processes` of them"
    )
    processes: Count = cited(1, "each with a device of its own and an equal part of every batch")
    config: str = cited("ddp", "what each process holds: ddp, fsdp2, deepspeed_zero3, or a file of accelerate config")

    @model_validator(mode="after")
    def _processes_have_a_launcher(self) -> Self:
        if self.launcher == "in_process" and (self.processes > 1 or self.config != "ddp"):
            raise ValueError(
                "launcher: in_process trains in one process on one device: choose accelerate or ray_train for more"
            )
        if self.launcher != "in_process" and self.processes == 1:
            raise ValueError(f"launcher: {self.launcher} starts several processes: set processes, or leave it out")
        return self


class Adapter(Section):
    """Low-rank adapters (LoRA, arXiv 2106.09685) in place of training all weights, as the paper does."""

    kind: Literal["none", "lora", "qlora"] = cited(
        "none", "3.1.3 trains all weights; qlora holds those that stay as they are in 4 bits (arXiv 2305.14314)"
    )
    rank: Count = cited(16, "that of Zephyr 7B's recipes with adapters (alignment-handbook)")
    alpha: Count = cited(16, "that of Zephyr 7B's recipes; the adapter is scaled by alpha / rank")
    dropout: Dropout = cited(0.05, "that of Zephyr 7B's recipes; before the adapter alone")
    targets: Literal["all-linear"] | list[str] = cited(
        "all-linear", "arXiv 2305.14314, section 4: adapters on all linear layers are needed; or names of modules"
    )

    @model_validator(mode="after")
    def _settings_have_an_adapter(self) -> Self:
        if self.kind == "none" and self != Adapter.model_construct():
            raise ValueError("its settings have no effect with kind: none; choose lora or qlora")
        return self


class EngineOptions(Section):
    """What turns prompts into completions. A matter of the machine, so the paper has no part in it."""

    name: str = cited("local", "local: weights in this process; or package.module:function")
    batch_size: Count = cited(64, "prompt rows decoded at once; no sample depends on it")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = cited("auto", "bfloat16 on a GPU, float32 on a CPU")
    device: Literal["auto", "cpu", "cuda"] = cited("auto", "the GPU where there is one")
    threads: Count | None = cited(None, "CPU threads; none leaves it to torch")
    trust_remote_code: bool = cited(
        False, "whether Python code in the model's folder may run, in sampling and in training; it can do anything"
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
    devices: Count = cited(1, "over which models are sharded")
    shape: Shape | None = cited(None, "read from the model's folder; needed for a model on the hub")
    prompt_tokens: Count = cited(60, "an instruction of Open Assistant has about 40 words")
    response_tokens: Count = cited(400, "arXiv 2401.10020, table 1: 1,092 to 2,552 characters")
    judgement_tokens: Count = cited(130, "a justification has at most 100 words (figure 2)")
    accepted: Share = cited(0.7, "of the attempts at a new prompt, those that pass the filters")
    paired: Share = cited(0.75, "of the prompts, those whose scores are not all equal")
    eft_kept: Share = cited(0.45, "3.1.1: 1,630 kept of about 3,600 judged; of ranked responses")
    judge_price: tuple[Positive, Positive] | None = cited(
        None, "of a served judge, for a million tokens read and a million written"
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
    sft: Sft = cited(Sft(), Sft.__doc__ or "")
    dpo: Dpo = cited(Dpo(), Dpo.__doc__ or "")
    training: Training = cited(Training(), Training.__doc__ or "")
    adapter: Adapter = cited(Adapter(), Adapter.__doc__ or "")
    engine: EngineOptions = cited(EngineOptions(), EngineOptions.__doc__ or "")
    evaluation: Evaluation = cited(Evaluation(), Evaluation.__doc__ or "")
    plan: Plan = cited(Plan(), Plan.__doc__ or "")

    @classmethod
    def of(cls, values: object, where: object = "recipe") -> Self:
        """The recipe that plain values say; BadInput names every fault at once, each with its path (`dpo.beta`)."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadInput(_faults(error), where) from None


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


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a type is or, where it is optional, holds."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _section(path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that holds the key at `path`; None where `path` leads through something that is no section."""
    found: type[BaseModel] = Recipe
    for key in path[:-1]:
        field = found.model_fields.get(str(key))
        section = None if field is None else _model_in(field.annotation)
        if section is None:
            return None
        found = section
    return found


def _where_else(key: str) -> list[str]:
    """Paths in other sections that end on `key`: what `--set lr=1` may have meant."""
    leaves = [path for path, _ in flat(Recipe(name="any").model_dump())]
    return [path for path in leaves if path.rpartition(".")[2] == key.rpartition(".")[2]]


def _faults(error: ValidationError) -> str:
    """One line with every fault of a recipe."""
    lines = []
    for fault in error.errors(include_url=False):
        path = ".".join(str(part) for part in fault["loc"]) or "the recipe"
        section = _section(fault["loc"])
        if fault["type"] == "extra_forbidden" and section is not None:
            key = str(fault["loc"][-1])
            elsewhere = _where_else(key)
            prefix = "".join(f"{part}." for part in fault["loc"][:-1])
            siblings = [f"{prefix}{name}" for name in section.model_fields]
            hint = f"did you mean {' or '.join(elsewhere)}?" if elsewhere else nearest(path, siblings)
            lines.append(f"{path}: unknown key, {hint}")
        elif fault["type"] == "missing":
            lines.append(f"{path}: is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
            value = fault["input"]
            given = "" if isinstance(value, BaseModel | Mapping) else f" (got {value!r:.60})"
            lines.append(f"{path}: {message}{given}")
    return lines[0] if len(lines) == 1 else f"{len(lines)} faults:\n  " + "\n  ".join(lines)


class _OneValuePerKey(yaml.SafeLoader):
    """YAML in which a key that stands twice is a fault; plain YAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _yaml(text: str, where: object) -> Any:
    """The plain values that YAML says; BadInput with the line where it says nothing."""
    try:
        return _OneValuePerKey(text).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        raise BadInput(f"not YAML: {getattr(error, 'problem', None) or error}", place) from None


def list_recipes() -> dict[str, str]:
    """Name -> first comment line of every shipped recipe."""
    files = sorted(_SHIPPED.glob("*.yaml"))
    return {file.stem: file.read_text().partition("\n")[0].removeprefix("#").strip() for file in files}


def _recipe_file(name_or_path: str | Path) -> Path:
    """The YAML file that a shipped name, a file or a run folder stands for."""
    name, path = str(name_or_path), Path(name_or_path)
    shipped = list_recipes()
    if name in shipped:
        return _SHIPPED / f"{name}.yaml"
    if path.is_dir():
        if not (path / RECIPE_FILE).is_file():
            raise BadInput(f"not a run folder: it has no {RECIPE_FILE}", path, "give a recipe or a folder made by run")
        return path / RECIPE_FILE
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise BadInput("no such file or folder", path, "`selfreward recipes list` names the shipped recipes")
    raise BadInput("no such recipe", name, nearest(name, shipped))


def _override(values: dict[str, Any], text: str) -> None:
    """Writes `dpo.lr=1e-4` into plain values."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise BadInput("not an override", text, "write --set dpo.lr=1e-4")
    *sections, key = path.strip().split(".")
    inner = values
    for section in sections:
        below = inner.get(section)
        inner[section] = dict(below) if isinstance(below, Mapping) else {}
        inner = inner[section]
    inner[key] = _yaml(value, f"--set {path}")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by name, a YAML file, or the recipe of a run folder; overrides read `dpo.lr=1e-4`.

    Everything is validated before anything runs: BadInput names the file and every fault in it.
    """
    file = _recipe_file(name_or_path)
    try:
        values = _yaml(file.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {error}", file) from None
    if not isinstance(values, dict):
        raise BadInput("a recipe is a mapping of keys to values", file, "see `selfreward recipes show micro`")
    for override in overrides:
        _override(values, override)
    return Recipe.of(values, file)


def to_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML, every value written out; `load_recipe` reads it back to an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(), sort_keys=False, allow_unicode=True)


def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe, with the source of every default as its description."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}
