"""The answers that are compared: a model's of a run, or those in an outputs file of AlpacaEval's form.

Two sides are joined by the text of the instruction. A model of a run answers with the sampling settings of its recipe, once.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import AliasChoices, Field

from selfreward import store
from selfreward.engines.base import Sampling
from selfreward.engines.opening import opened
from selfreward.errors import BadInput
from selfreward.evaluation.alpaca import read_outputs
from selfreward.evaluation.given import Row, read_given
from selfreward.evaluation.kinds import Kind, kind_of
from selfreward.progress import Progress
from selfreward.recipe import RECIPE_FILE
from selfreward.records import Prompt, RankedSet, digest
from selfreward.responses import Responses, sample
from selfreward.stamp import weight_hashes
from selfreward.store import RunFolder


@dataclass(frozen=True)
class Answers:
    """One side of a comparison."""

    name: str
    texts: dict[str, str]  # by instruction
    kinds: dict[str, Kind]  # by instruction

    @property
    def empty(self) -> int:
        """How many say nothing; they are judged like any other."""
        return sum(not text.strip() for text in self.texts.values())


class Instruction(Row):
    """A row of a file of prompts: AlpacaEval's `instruction` and `dataset`, or `prompt`, `text` and `category`."""

    text: str = Field(min_length=1, validation_alias=AliasChoices("instruction", "prompt", "text"))
    category: str | None = Field(None, validation_alias=AliasChoices("category", "dataset"))


def read_instructions(path: Path) -> dict[str, Kind]:
    """Instruction -> its kind; BadInput where one stands twice."""
    places: dict[str, str] = {}
    found: dict[str, Kind] = {}
    for place, row in read_given(path, Instruction):
        before = places.setdefault(row.text, place)
        if before != place:
            raise BadInput(f"this prompt stands twice, first at {before}: {row.text!r:.60}", place)
        found[row.text] = kind_of(row.text, row.category)
    return found


def is_model(side: Path) -> bool:
    """Whether a side is a model of a run, RUN/mK, rather than a file."""
    return not side.is_file()


def model_name(side: Path) -> str:
    """`run/mK`, wherever the run lies and the command is called."""
    return f"{side.parent.resolve().name}/{side.name}"


def identity(side: Path) -> str:
    """A hash of what a side is: of a file's content, of a model's weights and of how it is sampled; BadInput as its readers."""
    if not is_model(side):
        return digest(hashlib.sha256(side.read_bytes()).hexdigest())
    run = _run_of(side)
    recipe = run.recipe()
    return digest(weight_hashes(run.model_path(side.name)), recipe.responses.model_dump(), recipe.seed)


def read_side(side: Path) -> Answers:
    """The answers in an outputs file."""
    outputs = read_outputs(side)
    return Answers(
        outputs[0].generator or side.stem,
        {output.instruction: output.output for output in outputs},
        {output.instruction: kind_of(output.instruction, output.dataset or None) for output in outputs},
    )


def held_out(side: Path) -> Answers:
    """The answers that a model of a run gave to the run's held-out prompts; BadInput where there are none."""
    run = _run_of(side)
    path = run.path / side.name / store.EVAL_RESPONSES_FILE
    if not path.is_file():
        todo = f"a run's trained models answer them with: selfreward eval {side.parent}"
        raise BadInput("has not answered held-out prompts", side, todo)
    texts = {line.samples[0].prompt: line.samples[0].text for line in store.stream(path, Responses)}
    return Answers(model_name(side), texts, kinds_of_run(run, texts))


def kinds_of_run(run: RunFolder, prompts: Iterable[str]) -> dict[str, Kind]:
    """The kinds of prompts that a run held out."""
    if run.recipe().seeds.is_micro:
        from selfreward.evaluation import micro

        return {prompt: micro.kind_of(prompt) or kind_of(prompt) for prompt in prompts}
    path = run.path / store.SEED_FOLDER / store.EVAL_SEED_FILE
    sets = {one.prompt: one for one in store.stream(path, RankedSet)} if path.is_file() else {}
    return {prompt: _kind_of_set(sets[prompt]) if prompt in sets else kind_of(prompt) for prompt in prompts}


def _kind_of_set(ranked: RankedSet) -> Kind:
    best = min(ranked.responses, key=lambda response: response.rank)
    return kind_of(ranked.prompt, ranked.category, best.text)


def answer(side: Path, prompts: dict[str, Kind], folder: Path, progress: Progress) -> Answers:
    """What a model of a run answers to prompts, one answer each, kept in `folder` as answers-RUN-mK-HASH.jsonl."""
    run = _run_of(side)
    recipe, model = run.recipe(), run.model_path(side.name)
    settings = recipe.responses
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    asked = [Prompt(id=digest("prompt", text), text=text, source="given") for text in prompts]
    # two runs may have one name: the hash keeps their answers apart
    path = folder / f"answers-{model_name(side).replace('/', '-')}-{identity(side)}.jsonl"
    with opened(recipe.engine) as engines:
        lines = store.fill(
            path,
            Responses,
            asked,
            lambda prompt: prompt.id,
            lambda batch: sample(engines.of(model), batch, 1, sampling, side.name, recipe.seed),
            recipe.engine.batch_size,
            progress,
        )
    return Answers(model_name(side), {line.samples[0].prompt: line.samples[0].text for line in lines}, prompts)


def _run_of(side: Path) -> RunFolder:
    """The run of RUN/mK; BadInput where there is no such run or model."""
    if not (side.parent / RECIPE_FILE).is_file():
        what = "neither a file of outputs nor a model of a run"
        raise BadInput(what, side, "give model_outputs.json, or RUN/mK as runs/micro/m3")
    run = RunFolder(side.parent)
    run.model_path(side.name)
    return run
