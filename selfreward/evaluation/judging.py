"""A model measured as a judge, outside of a run: with other templates, numbers of votes and ways to read it (section 2.4).

Judgements are kept in a folder by what they depend on, their judge's pin, so that no question is paid for twice: fewer
votes are the first of many, and what a run's own evaluation has asked already is read from the run.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from selfreward import store
from selfreward.engines.opening import Engines, opened
from selfreward.errors import BadInput, nearest
from selfreward.evaluation.evaluate import measured_judge
from selfreward.evaluation.health import judge_health
from selfreward.evaluation.named_models import NamedModel
from selfreward.evaluation.reward_modelling import join
from selfreward.evaluation.scored_sets import Rules, measure
from selfreward.judges import open_judge
from selfreward.judges.expected import expect
from selfreward.judges.grounded import check_evidence, passages_in
from selfreward.judges.shown import begin_of, judge_prompt
from selfreward.judges.votes import judgement_id, make_judgement
from selfreward.models import CHAT_TEMPLATE_FILE
from selfreward.progress import Progress
from selfreward.recipe import Judge, Source
from selfreward.records import Judgement, RankedSet, Response, Vote, digest
from selfreward.responses import ranked_responses
from selfreward.seeds.choosing import usable_sets
from selfreward.seeds.reading import read
from selfreward.stamp import weight_hashes
from selfreward.templates import shows_evidence, text_hash

PIN_FILE = "pin.json"


@dataclass(frozen=True)
class Ways:
    """The ways in which every model is asked; None is the way of its recipe. BadInput for a way to read that is none.

    A template that shows evidence is given what the database says, any other is asked without one.
    """

    templates: Sequence[str | None] = (None,)
    reads: Sequence[str | None] = (None,)
    votes: Sequence[int | None] = (None,)
    database: str | None = None

    def __post_init__(self) -> None:
        known = get_args(Judge.model_fields["read"].annotation)
        for reading in self.reads:
            if reading is not None and reading not in known:
                raise BadInput(f"no way to read a judge: {reading!r}", "--read", nearest(reading, known))

    def settings(self, model: NamedModel) -> Iterator[tuple[Judge, list[int]]]:
        """The judge of each template and way to read, with its greatest number of votes, and all numbers of votes."""
        own = measured_judge(model.recipe)
        votes = sorted({number or own.votes for number in self.votes})
        for template in self.templates:
            for reading in self.reads:
                changes: dict[str, Any] = {"quorum": 1}
                if template not in (None, own.template):
                    changes |= {"template": template, "begin": None}  # what is said before points belongs to a template
                if reading not in (None, own.read):
                    changes |= {"read": reading, "begin": None}
                changes |= self._looks_up(template or own.template, own)
                judge = own.model_copy(update=changes)
                wanted = [1] if judge.read == "direct" else votes
                yield judge.model_copy(update={"votes": wanted[-1]}), wanted

    def _looks_up(self, template: str, own: Judge) -> dict[str, Any]:
        """The judge's name and database; BadInput where a template shows evidence and there is no database."""
        if not shows_evidence(template):
            return {"name": "llm", "database": None}
        database = self.database or own.database
        if database is None:
            raise BadInput(f"the template {template} shows evidence", "--template", "say where it is: --database")
        return {"name": "grounded", "database": database}


def numbers_of_votes(text: str) -> list[int]:
    """The numbers in `1,3,5,11`; BadInput where one is no positive number."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part) > 0 for part in parts):
        raise BadInput(f"not numbers of votes: {text!r}", "--votes", "write them as 1,3,5,11")
    return [int(part) for part in parts]


def read_ranked_sets(path: Path) -> tuple[list[RankedSet], dict[str, int]]:
    """The ranked sets of a file in any form that seeds may have (docs/seeds.md), and what was left out, by reason.

    What cannot tell judges apart is left out as from seeds: no order, no text, a prompt that stands twice. BadInput where
    nothing is left.
    """
    held = read(Source(path=str(path)), "error")
    sets, left_out = usable_sets(held.found, sys.maxsize)
    left_out.update({fate: number for fate, number in held.counts.items() if fate != "rows"})
    if not sets:
        todo = 'a line is {"prompt", "responses": [{"text", "rank"}, ...]}'
        raise BadInput("holds no responses that people ranked", path, todo)
    return sets, {fate: number for fate, number in left_out.items() if number}


def measure_judges(
    models: Sequence[NamedModel],
    sets: Sequence[RankedSet] | None,
    ways: Ways,
    rules: Rules,
    cache: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """One row for each model, template, way to read, number of votes and truth.

    `sets` are the same for all models; None stands for each run's own held-out ones, where the micro-world's oracle is a second
    truth. BadInput, before any judge is asked, for a template that is none and for a model of no run without `sets`.
    """
    for model in models:
        if sets is None and model.run is None:
            raise BadInput(
                "belongs to no run, so it has no held-out sets", model.folder, "name ranked sets with --sets"
            )
        for judge, _ in ways.settings(model):
            judge_prompt(judge.template, "", "")
            check_evidence(judge)
            if judge.read == "direct":
                begin_of(judge)
    rows: list[dict[str, Any]] = []
    for model in models:
        used = list(sets) if sets is not None else _own_sets(model)
        truths = {"human": used, **({} if sets is not None else _oracle(model, used))}
        responses = list({response.id: response for response in ranked_responses(used)}.values())
        with opened(model.recipe.engine) as engines:
            asked = _Asked(model, cache, engines, progress)
            for judge, votes in ways.settings(model):
                judgements = asked.judgements(judge, responses)
                for number in votes:
                    quorum = min(number, model.recipe.judge.quorum)
                    row = {
                        "model": model.label,
                        "name": model.name,
                        "votes": number,
                        "quorum": quorum,
                        "sets_digest": digest(*(one.id for one in used)),
                        "pin": asked.pin(judge),
                    }
                    rows += _rows(row, truths, _first_votes(judgements, responses, number, quorum), rules)
    return rows


def _rows(
    row: dict[str, Any],
    truths: dict[str, list[RankedSet]],
    judgements: Sequence[Judgement],
    rules: Rules,
) -> list[dict[str, Any]]:
    """The row of each truth."""
    health = judge_health(judgements)
    kept = {name: health[name] for name in ("readable", "faults", "tie_rate", "mean_score", "alarms")}
    found = {truth: measure(join(sets, judgements), rules) for truth, sets in truths.items()}
    return [{**row, "truth": truth, **metrics, "health": kept} for truth, metrics in found.items()]


def _first_votes(
    judgements: Sequence[Judgement], responses: Sequence[Response], number: int, quorum: int
) -> list[Judgement]:
    """The judgements as they would be with their first `number` votes alone."""
    return [
        make_judgement(response, found.votes[:number], found.judge, quorum, found.cut, found.evidence)
        for response, found in zip(responses, judgements, strict=True)
    ]


def _own_sets(model: NamedModel) -> list[RankedSet]:
    assert model.run is not None
    return store.read(model.run / store.SEED_FOLDER / store.EVAL_SEED_FILE, RankedSet)


def _oracle(model: NamedModel, sets: Sequence[RankedSet]) -> dict[str, list[RankedSet]]:
    """The same sets as the micro-world's oracle ranks them; nothing where there is no oracle."""
    if not model.recipe.seeds.is_micro:
        return {}
    from selfreward.evaluation.micro import oracle_ranking

    return {"oracle": oracle_ranking(sets)}


def _looked_up_in(database: str, passages: int) -> dict[str, Any]:
    """What the evidence of a grounded judge depends on, but for the response."""
    return {"database": database, "passages_sha256": passages_in(database), "passages": passages}


class _Asked:
    """What one model is asked, and what it has said already."""

    def __init__(self, model: NamedModel, cache: Path, engines: Engines, progress: Progress) -> None:
        self.model, self.cache, self.engines, self.progress = model, cache, engines, progress
        folder = Path(model.folder)
        self.weights = digest(*sorted(weight_hashes(model.folder).items()))
        files = [*sorted(folder.glob("tokenizer*.json")), folder / CHAT_TEMPLATE_FILE]
        self.tokenizer = digest(*(hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()))

    def pin(self, judge: Judge) -> dict[str, Any]:
        """All that a vote depends on, but for the response."""
        drawn = {"temperature": judge.temperature, "top_p": judge.top_p, "max_tokens": judge.max_tokens}
        engine = self.model.recipe.engine
        return {
            "model": self.weights,
            "tokenizer": self.tokenizer,
            "judge": self.model.name,  # it and the seed choose the random streams of the votes
            "seed": self.model.recipe.seed,
            "template": judge.template,
            "template_sha256": text_hash("judge", judge.template),
            "read": judge.read,
            "begin": begin_of(judge) if judge.read == "direct" else None,
            "sampling": drawn if judge.read != "direct" else None,
            "too_long": judge.too_long,
            "engine": {"name": engine.name, "dtype": engine.dtype},
            **(_looked_up_in(judge.database, judge.passages) if judge.database else {}),
        }

    def judgements(self, judge: Judge, responses: Sequence[Response]) -> list[Judgement]:
        """Judgements of at least `judge.votes` votes: those that are held, else asked for and added to the cache."""
        folder = self.cache / digest(json.dumps(self.pin(judge), sort_keys=True))
        held = {int(file.stem): file for file in folder.glob("[0-9]*.jsonl")}
        for number, file in sorted([*held.items(), *self._own(judge)]):
            by_response = {found.response_id: found for found in store.read(file, Judgement)}
            if number >= judge.votes and all(response.id in by_response for response in responses):
                return [by_response[response.id] for response in responses]
        make = self._ask(judge) if judge.read != "expected" else self._expect(judge, responses)
        store.write_json(folder / PIN_FILE, self.pin(judge))
        return list(
            store.fill(
                folder / f"{judge.votes}.jsonl",
                Judgement,
                responses,
                lambda response: judgement_id(self.model.name, response.id),
                make,
                self.model.recipe.engine.batch_size,
                self.progress,
            )
        )

    def _ask(self, judge: Judge) -> Callable[[list[Response]], list[Judgement]]:
        ask = open_judge(judge.name)

        def make(batch: list[Response]) -> list[Judgement]:
            engine = self.engines.of(self.model.folder)
            return ask(engine, batch, judge, self.model.name, self.model.recipe.seed)

        return make

    def _expect(self, judge: Judge, responses: Sequence[Response]) -> Callable[[list[Response]], list[Judgement]]:
        """Expected points of what the judge wrote, or has written, as votes: words are paid for once."""
        written = self.judgements(judge.model_copy(update={"read": "votes"}), responses)
        words = {judgement.response_id: judgement for judgement in written}

        def make(batch: list[Response]) -> list[Judgement]:
            asked = [
                (
                    judge_prompt(judge.template, said.prompt, said.response, said.cut, said.evidence),
                    said.votes[: judge.votes],
                )
                for said in (words[response.id] for response in batch)
            ]

            def judgement(place: int, votes: list[Vote]) -> Judgement:
                said = words[batch[place].id]
                return make_judgement(batch[place], votes, self.model.name, cut=said.cut, evidence=said.evidence)

            return expect(self.engines.of(self.model.folder), asked, judgement)

        return make

    def _own(self, judge: Judge) -> Iterator[tuple[int, Path]]:
        """Number of votes and file of the run's own evaluation, where it asked in the same way and the same words."""
        run = self.model.run
        if run is not None and self.pin(judge) == self.pin(measured_judge(self.model.recipe)):
            if store.RunFolder(run).judge_text() not in (None, text_hash("judge", judge.template)):
                return
            file = run / self.model.name / store.EVAL_JUDGEMENTS_FILE
            if file.is_file():
                yield self.model.recipe.evaluation.votes, file
