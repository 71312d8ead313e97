"""Records of a run as data for other trainers, or whole, as Parquet: a file for each round, and a card.

A trainer takes pairs and examples. A judgement becomes an example for each of its votes: what the judge was asked, and what
it said. What cannot be taken along is counted.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfreward import store
from selfreward.errors import BadInput, nearest
from selfreward.export.cards import CARD_FILE, data_card
from selfreward.export.formats import FORMATS, Format, Row
from selfreward.export.parquet import write_parquet
from selfreward.judges.shown import judge_prompt
from selfreward.recipe import RECIPE_FILE
from selfreward.records import Example, Judgement, Pair, Record, digest
from selfreward.store import RunFolder, model_name, saving
from selfreward.text import whole

PARQUET = "parquet"
OF_ROUNDS: dict[str, tuple[str, type[Record]]] = {
    "pairs": (store.PAIRS_FILE, Pair),
    "judgements": (store.JUDGEMENTS_FILE, Judgement),
}
OF_SEEDS = {"sft": ("ift", "eft"), "eft": ("eft",)}
WHATS = (*OF_ROUNDS, *OF_SEEDS)


@dataclass(frozen=True)
class Table:
    """One file of an export."""

    name: str  # pairs-m2, judgements-m2, ift, eft
    record_type: type[Record]
    records: Sequence[Record]
    template: str | None = None  # with which the judge was asked, where the records are judgements of a model


@dataclass
class Exported:
    """What was written, and what was not."""

    rows: dict[str, int] = field(default_factory=dict)  # by file
    notes: list[str] = field(default_factory=list)


def export_data(source: Path, target: Path, whats: Sequence[str], format_name: str) -> Exported:
    """Writes `target`, a new folder, with records of RUN (all rounds, a file each) or of the round that made RUN/mK.

    BadInput where there is no such run, round or format, or nothing of the kind.
    """
    run, name = _run_and_round(source)
    names = [*FORMATS, PARQUET]
    if format_name not in names:
        raise BadInput(f"no such format: {format_name!r}", "--format", nearest(format_name, names))
    tables = [table for what in whats for table in _tables(run, name, what)]
    if not tables:
        raise BadInput(f"has no {' or '.join(whats)}", source, "the files of its rounds say what it has")
    if format_name != PARQUET and any(table.record_type is Judgement and not table.template for table in tables):
        what = "are those of a judge of your own, of which nobody knows what it was asked"
        raise BadInput(what, f"judgements of {source}", f"take them whole: --format {PARQUET}")
    if target.exists():
        raise BadInput("is there already", target, "give a new folder")
    exported = Exported()
    with saving(target) as unfinished:
        for table in tables:
            if format_name == PARQUET:
                file = f"{table.name}.parquet"
                exported.rows[file] = write_parquet(unfinished / file, table.record_type, table.records)
            else:
                file = f"{table.name}.jsonl"
                exported.rows[file] = _write_rows(unfinished / file, table, FORMATS[format_name], exported.notes)
        if format_name != PARQUET:
            files = {table.name: table.record_type is Pair for table in tables}
            for beside, text in FORMATS[format_name].index(files).items():
                (unfinished / beside).write_text(text, encoding="utf-8")
        (unfinished / CARD_FILE).write_text(data_card(run, exported.rows, exported.notes), encoding="utf-8")
    return exported


def _run_and_round(source: Path) -> tuple[RunFolder, str | None]:
    """The run of RUN or RUN/mK, and the name of M_k if one is given."""
    if (source / RECIPE_FILE).is_file() or not (source.parent / RECIPE_FILE).is_file():
        run = RunFolder(source)
        run.recipe()  # BadInput where it is no run
        return run, None
    run = RunFolder(source.parent)
    rounds = [model_name(k) for k in range(2, run.recipe().rounds + 2)]
    if source.name not in rounds:
        raise BadInput("is not made by a round", source, f"give the run, or of its models {', '.join(rounds)}")
    return run, source.name


def _tables(run: RunFolder, name: str | None, what: str) -> Iterator[Table]:
    """What a run has of a kind, in the order of its rounds."""
    recipe = run.recipe()
    if what in OF_ROUNDS:
        file, record_type = OF_ROUNDS[what]
        for k in range(2, recipe.rounds + 2):
            path = run.path / model_name(k) / file
            if name in (None, model_name(k)) and path.exists():
                judge = recipe.of_round(k).judge
                template = judge.template if judge.name == "llm" else None
                yield Table(f"{what}-{model_name(k)}", record_type, store.open_lines(path, record_type), template)
        return
    if name is not None:
        raise BadInput("the seeds are those of the whole run", f"--what {what}", f"give {run.path}")
    for seed in OF_SEEDS[what]:
        path = run.path / store.SEED_FOLDER / f"{seed}.jsonl"
        if path.exists():
            yield Table(seed, Example, store.open_lines(path, Example))


def _write_rows(path: Path, table: Table, form: Format, notes: list[str]) -> int:
    """Writes what a trainer takes of a table; returns how many rows, and notes what it did not take."""
    counts: Counter[str] = Counter()
    num_rows = 0
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(table, form, counts):
            file.write(whole(json.dumps(row, ensure_ascii=False)) + "\n")
            num_rows += 1
    notes += [f"{path.name}: {number} {fate}" for fate, number in counts.items()]
    return num_rows


def _rows(table: Table, form: Format, counts: Counter[str]) -> Iterator[Row]:
    for record in table.records:
        if isinstance(record, Pair):
            if not record.whole:
                counts["pairs whose responses are cut after a step: a trainer will teach that they end there"] += 1
            yield form.pair(record)
        elif isinstance(record, Judgement):
            yield from map(form.example, _judging(record, table.template or "", counts))
        elif isinstance(record, Example):
            yield form.example(record)


def _judging(judgement: Judgement, template: str, counts: Counter[str]) -> Iterable[Example]:
    """A judgement as examples, one for each vote that is words with readable points."""
    asked = judge_prompt(template, judgement.prompt, judgement.response, judgement.cut)
    for place, vote in enumerate(judgement.votes):
        if vote.fault is not None:
            counts[f"votes left out: {vote.fault}"] += 1
        elif not vote.text:
            counts["votes left out: points that were read from probabilities, without words"] += 1
        else:
            yield Example(id=digest(judgement.id, place), prompt=asked, response=vote.text, source="judgement")
