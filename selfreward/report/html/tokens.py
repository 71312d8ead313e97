"""Tokens that a run's models wrote, stage by stage: counted where records have their number, else with the run's tokenizer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from selfreward import store
from selfreward.prompts import Attempt
from selfreward.records import Judgement
from selfreward.report.html.run import Run
from selfreward.responses import Responses

_SAMPLE = 300  # texts that are put through the tokenizer, evenly over a file


@dataclass(frozen=True)
class Tokens:
    """What was written in a stage."""

    num: int
    is_exact: bool  # False: the mean of a sample, times the number of texts


def tokens_written(run: Run) -> dict[str, Tokens]:
    """By stage, named as in the run's times; stages whose tokens cannot be known are left out."""
    tokenizer = _tokenizer(run)
    found: dict[str, Tokens | None] = {}
    judgements = {f"{store.SEED_FOLDER} eft_judgements": f"{store.SEED_FOLDER}/{store.EFT_JUDGEMENTS_FILE}"}
    for name in run.models:
        for file in (store.RESPONSES_FILE, store.EVAL_RESPONSES_FILE):
            found[_stage(name, file)] = _recorded(run.records(f"{name}/{file}", Responses))
        attempts = run.records(f"{name}/{store.ATTEMPTS_FILE}", Attempt)
        found[f"{name} prompts"] = _counted(tokenizer, (attempt.text for attempt in attempts))
        judgements[_stage(name, store.EVAL_JUDGEMENTS_FILE)] = f"{name}/{store.EVAL_JUDGEMENTS_FILE}"
        if run.recipe.judge.engine is None:  # another judge has another tokenizer
            judgements[_stage(name, store.JUDGEMENTS_FILE)] = f"{name}/{store.JUDGEMENTS_FILE}"
    for stage, file in judgements.items():
        votes = (vote.text for judgement in run.records(file, Judgement) for vote in judgement.votes)
        found[stage] = _counted(tokenizer, votes)
    return {stage: tokens for stage, tokens in found.items() if tokens is not None}


def _stage(name: str, file: str) -> str:
    return f"{name} {file.removesuffix('.jsonl')}"


def _recorded(lines: Iterable[Responses]) -> Tokens | None:
    """The sum of what responses say themselves; None where one does not."""
    numbers = [response.num_tokens for line in lines for response in line.samples]
    known = [number for number in numbers if number is not None]
    return Tokens(sum(known), True) if known and len(known) == len(numbers) else None


def _counted(tokenizer: Any, texts: Iterator[str]) -> Tokens | None:
    """The tokens of texts: of a sample of them, scaled up, where there are many; None without a tokenizer or texts."""
    if tokenizer is None:
        return None
    kept: list[str] = []
    every, num = 1, 0
    for text in texts:
        if num % every == 0:
            kept.append(text)
            if len(kept) == 2 * _SAMPLE:  # every second goes, so that the sample stays even over the file
                kept, every = kept[::2], every * 2
        num += 1
    if not num:
        return None
    counted = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in kept)
    return Tokens(round(counted * num / len(kept)), every == 1)


def _tokenizer(run: Run) -> Any:
    """The tokenizer of a model of the run; None where no model is there, or its tokenizer has no file that can be read."""
    from tokenizers import Tokenizer

    for name in run.models:
        file = run.path / name / store.MODEL_FOLDER / "tokenizer.json"
        if file.is_file():
            try:
                return Tokenizer.from_file(str(file))
            except Exception:  # the library raises nothing narrower
                return None
    return None
