"""The published files of IFEval: prompts with their instructions, and responses, joined by the prompt's text."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from selfreward.errors import BadInput, few, nearest
from selfreward.evaluation.extras import require
from selfreward.evaluation.given import Row, read_given
from selfreward.evaluation.ifeval.base import Instruction
from selfreward.evaluation.ifeval.instructions import INSTRUCTIONS
from selfreward.seeds.forms.row import Text


@dataclass(frozen=True)
class Task:
    """A prompt and what can be checked of its response."""

    key: int | str
    prompt: str
    instructions: tuple[tuple[str, Instruction], ...]  # with their ids


class _Prompt(Row):
    key: int | str
    prompt: Text
    instruction_id_list: Annotated[list[str], Field(min_length=1)]
    kwargs: list[dict[str, Any]]


class _Response(Row):
    prompt: Text
    response: Text


def read_tasks(path: Path) -> list[Task]:
    """The prompts of a file of lines {key, prompt, instruction_id_list, kwargs}.

    BadInput for an instruction that is not known or whose arguments do not fit, for a prompt that comes twice, and where a
    check needs what is not installed. An argument that is null is one that is not given.
    """
    tasks: dict[str, Task] = {}
    for place, row in read_given(path, _Prompt):
        if row.prompt in tasks:
            raise BadInput(f"the prompt of key {tasks[row.prompt].key} comes again", place, "responses join by prompt")
        if len(row.kwargs) != len(row.instruction_id_list):
            raise BadInput(f"{len(row.instruction_id_list)} instructions, {len(row.kwargs)} kwargs", place)
        pairs = zip(row.instruction_id_list, row.kwargs, strict=True)
        instructions = tuple((id, _instruction(id, arguments, place)) for id, arguments in pairs)
        tasks[row.prompt] = Task(row.key, row.prompt, instructions)
    needed = {module for task in tasks.values() for _, instruction in task.instructions for module in instruction.needs}
    require(needed, str(path))
    return list(tasks.values())


def _instruction(id: str, arguments: Mapping[str, Any], place: str) -> Instruction:
    if id not in INSTRUCTIONS:
        raise BadInput(f"unknown instruction {id!r}", place, nearest(id, INSTRUCTIONS))
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return INSTRUCTIONS[id].model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        what = ": ".join([*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")])
        raise BadInput(f"kwargs of {id}: {what}", place) from None


def read_responses(path: Path, tasks: list[Task]) -> tuple[list[str], int]:
    """(the response to each task in order, how many others the file holds), of a file of lines {prompt, response}.

    BadInput where a task has no response, or two.
    """
    responses: dict[str, str] = {}
    for place, row in read_given(path, _Response):
        if row.prompt in responses:
            raise BadInput("a second response to this prompt", place, "give one response to each")
        responses[row.prompt] = row.response
    if missing := [task.key for task in tasks if task.prompt not in responses]:
        what = f"{len(missing)} of {len(tasks)} prompts have no response, those of the keys {few(missing)}"
        raise BadInput(what, path, "a response names its prompt by the whole text")
    return [responses[task.prompt] for task in tasks], len(responses) - len(tasks)
