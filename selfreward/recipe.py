"""What a run is told to do: the recipe, a strict pydantic model, with the paper's value as each default.

Unknown keys fail and offer the nearest name. YAML in, JSON Schema out. Sections cited are those of Self-Rewarding
Language Models, Yuan et al. 2024, arXiv 2401.10020; "not stated" means that the paper gives no value.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from selfreward.errors import BadInput, nearest

_PACKAGE = Path(__file__).parent
_SHIPPED = _PACKAGE / "recipes"
_EMBEDDED = {"micro-m0": _PACKAGE / "micro" / "m0"}
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


class Seeds(Section):
    """The human data: IFT (instruction, response) and EFT (ranked responses). Section 3.1.1."""

    source: str = cited("micro", "micro, the embedded default, or a folder with ift.jsonl, ranked.jsonl and eval.jsonl")
    num_ift: Count = cited(3200, "3.1.1: 3,200 examples, Open Assistant, English, first turn, rank 0")
    num_eft_prompts: Whole = cited(1200, "not stated; 3.1.1 keeps 1,630 examples, about 570 prompts, once filtered")
    num_ranked_responses: Annotated[int, BeforeValidator(_no_truth_value), Field(ge=2)] = cited(
        3, "3.1.1: 2.85 ranked responses to an instruction on average; for sources that write their own"
    )


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


class Server(Section):
    """How an endpoint of the OpenAI API is asked, for the engines `server` and `vllm`."""

    url: str | None = cited(None, "as http://127.0.0.1:8000/v1; wanted by server, which asks it for chat/completions")
    model: str | None = cited(None, "its name there; none asks for the model of the round by its folder")
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = cited(
        None, "the environment variable that holds the key; none sends no key"
    )
    concurrency: Count = cited(16, "requests that are under way at once")
    requests_per_minute: Count | None = cited(None, "none sets no pace")
    timeout_s: Positive = cited(600, "seconds that one answer may take")
    retries: Whole = cited(6, "tries after the first; for connections that fail, for 429 and for 5xx alone")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is not None:
            parts = TypeAdapter(HttpUrl).validate_python(url)
            if parts.username or parts.password or parts.query or parts.fragment:
                raise ValueError("must have no user, password, query or fragment: a key belongs in api_key_env")
        return url


class Vllm(Section):
    """How `vllm serve` is started, for the engine `vllm`."""

    args: tuple[str, ...] = cited((), "further arguments of `vllm serve`, as --tensor-parallel-size, '4'")
    start_s: Positive = cited(900, "seconds it may take to load the model and answer")


class EngineOptions(Section):
    """What turns prompts into completions. A matter of the machine, so the paper has no part in it."""

    name: str = cited(
        "local",
        "local: weights in this process; server: an endpoint of the OpenAI API; vllm: a server of our own start; "
        "or package.module:function",
    )
    batch_size: Count = cited(64, "prompt rows decoded at once, requests between two writes; no sample depends on it")
    dtype: Literal["auto", "float32", "bfloat16"] = cited("auto", "bfloat16 on a GPU, float32 on a CPU")
    device: Literal["auto", "cpu", "cuda"] = cited("auto", "the GPU where there is one")
    threads: Count | None = cited(None, "CPU threads; none leaves it to torch")
    server: Server = cited(Server(), Server.__doc__ or "")
    vllm: Vllm = cited(Vllm(), Vllm.__doc__ or "")

    @model_validator(mode="after")
    def _what_the_engine_reads(self) -> Self:
        """Refuses a setting that the engine named would ignore; an engine of the user's may read any."""
        unused = {"local": ("server", "vllm"), "server": ("dtype", "device", "threads", "vllm"), "vllm": ("device",)}
        fields = type(self).model_fields
        ignored = [name for name in unused.get(self.name, ()) if getattr(self, name) != fields[name].default]
        if self.name == "vllm":  # it gives its server an address, a name and a key itself
            set_ = self.server.model_dump(include={"url", "model", "api_key_env"}, exclude_none=True)
            ignored += [f"server.{name}" for name in set_]
        if ignored:
            raise ValueError(f"the engine {self.name} does not use {' and '.join(ignored)}")
        if self.name == "server" and self.server.url is None:
            raise ValueError("the engine server needs server.url")
        return self


class Judge(Section):
    """Who scores the candidates, and how often. Section 2.2 and figure 2."""

    name: str = cited("llm", "2.2: the model judges itself; or package.module:function")
    template: str = cited("additive", "figure 2: five additive points; a shipped template or a .jinja file")
    votes: Count = cited(3, "3.1.3: 3 judgements of each response, averaged")
    temperature: Temperature = cited(0.7, "3.1.3: the settings of the candidates")
    top_p: Share = cited(0.9, "3.1.3: the settings of the candidates")
    max_tokens: Count = cited(256, "a justification has at most 100 words (figure 2)")
    quorum: Count = cited(1, "not stated; readable votes that a response must have to be scored at all")
    read: Literal["votes", "expected", "direct"] = cited(
        "votes",
        "2.2: votes, the points that it writes; expected: their mean under its own probabilities, after each "
        "justification; direct: the same, asked without one",
    )
    begin: str = cited("Score: ", "not stated; what a judge that is read directly is made to say before its points")
    engine: EngineOptions | None = cited(None, "the judge's own engine; none: the engine of the run")

    @field_validator("read")
    @classmethod
    def _one_direct_vote(cls, read: str, info: ValidationInfo) -> str:
        if read == "direct" and info.data.get("votes", 1) != 1:
            raise ValueError("direct gives one vote, the same each time: set votes to 1")
        return read

    @field_validator("begin")
    @classmethod
    def _only_direct_begins(cls, begin: str, info: ValidationInfo) -> str:
        if info.data.get("read", "direct") != "direct" and begin != cls.model_fields["begin"].default:
            raise ValueError("is for read: direct alone")
        return begin

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


class Evaluation(Section):
    """What every model is measured on. Section 3.1.2."""

    num_prompts: Count = cited(256, "3.1.2: 256 held-out prompts, head to head")
    num_samples: Count = cited(1, "3.1.2: one answer to each")
    split: Literal["dev", "test"] = cited("test", "micro-world: tune on dev, report on test")
    num_ranked_sets: Count = cited(190, "3.1.1: 541 ranked responses, 2.85 to an instruction")
    votes: Count = cited(3, "3.1.3: 3 judgements, as in training")


class Recipe(Section):
    """A whole run: M0 -> SFT -> M1 -> `rounds` rounds of strategy and training."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="letters, digits, dot, dash; names the run folder"
    )
    model: str = cited("micro-m0", "M0: micro-m0 (embedded), a folder of safetensors, or org/name on the hub")
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
    engine: EngineOptions = cited(EngineOptions(), EngineOptions.__doc__ or "")
    evaluation: Evaluation = cited(Evaluation(), Evaluation.__doc__ or "")

    @field_validator("engine")
    @classmethod
    def _one_model_for_all_rounds(cls, engine: EngineOptions) -> EngineOptions:
        if engine.name == "server" and engine.server.model:
            raise ValueError(
                "with server.model every M_k would be this one model; name it in judge.engine, or leave it out"
            )
        return engine

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
    paths = dict.fromkeys((*before, *after))  # a section that may be left out has paths on one side only
    return [
        f"{path}: {before.get(path)!r} there, {after.get(path)!r} given"
        for path in paths
        if before.get(path) != after.get(path)
    ]


def _section(path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that holds the key at `path`; None where `path` leads through something that is no section."""
    found: type[BaseModel] = Recipe
    for key in path[:-1]:
        field = found.model_fields.get(str(key))
        choices = (field.annotation, *get_args(field.annotation)) if field else ()  # a section, or a section or None
        sections = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]
        if not sections:
            return None
        found = sections[0]
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
            hidden = isinstance(value, BaseModel | Mapping) or fault["loc"][-1:] in (("api_key_env",), ("url",))
            given = "" if hidden else f" (got {value!r:.60})"  # a key may have been written where its name belongs
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
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe, with the source of every default as its description."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def resolve_model(model: str) -> str:
    """What a loader is given for `recipe.model`: a folder with a config and safetensors, or a hub name as it is.

    `org/name` is taken for a hub name where neither it nor a folder `org` exists here. BadInput says what was found.
    """
    path = _EMBEDDED.get(model, Path(model).expanduser())
    is_hub_name = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model) is not None
    if is_hub_name and not path.exists() and not path.parent.exists():
        return model
    if not path.is_dir():
        what = "is a file, a model is a folder" if path.exists() else "no such model folder"
        raise BadInput(what, path, "give micro-m0, a folder, or org/name on the hub")
    if not (path / "config.json").is_file():
        raise BadInput("not a model: it has no config.json", path, f"it holds {_contents(path)}")
    if not any(path.glob("*.safetensors")):
        old = any(path.glob("*.bin")) or any(path.glob("*.pt"))
        todo = "save it again with save_pretrained(safe_serialization=True)" if old else "give a folder with weights"
        raise BadInput(f"no *.safetensors in it: it holds {_contents(path)}", path, todo)
    return str(path)


def _contents(folder: Path) -> str:
    """The first names in a folder, for a message."""
    names = sorted(entry.name for entry in folder.iterdir())
    return (", ".join(names[:6]) + (" ..." if len(names) > 6 else "")) or "nothing"
