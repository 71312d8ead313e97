"""Two models answer the same prompts and a judge compares the answers, in a folder that an interrupted match goes on in.

The folder holds `match.json` (who plays, who judges: a folder belongs to one match), the answers, `meetings.jsonl` or
`judgements.jsonl`, and `result.json`. Judgements of matches that were given no folder are in one of their judge's.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.engines.opening import Engines, opened
from selfreward.errors import BadInput
from selfreward.evaluation.alpaca import check_same_instructions
from selfreward.evaluation.answers import Answers, answer, held_out, identity, is_model, read_instructions, read_side
from selfreward.evaluation.kinds import Kind, by_kind, merged
from selfreward.evaluation.pinned import EVALS, Pinned, open_folder
from selfreward.evaluation.verdicts import (
    Verdict,
    Winner,
    higher,
    outcome,
    refuse_mixed,
    share_of,
    shares,
    tally,
)
from selfreward.judges.filling import judge_into
from selfreward.judges.pairwise import Meeting, Pair, compare, compare_with, longer
from selfreward.progress import Progress
from selfreward.records import Response, VoteFault, digest

MATCH_FILE = "match.json"
JUDGE_FILE = "judge.json"
MEETINGS_FILE = "meetings.jsonl"
RESULT_FILE = "result.json"


def open_match(
    sides: Sequence[Path],
    prompts: Path | None,
    judge: Pinned,
    to: Path | None,
    identify: Callable[[Path], str] = identity,
) -> Path:
    """The folder of a match, `evals/<hash of who plays and judges>` where none is named; BadInput where it is another's.

    `identify` is `identity`, or one that remembers: weights take their time to hash.
    """
    _known(sides, prompts)
    said = {
        "sides": [identify(side) for side in sides],
        "prompts": None if prompts is None else hashlib.sha256(prompts.read_bytes()).hexdigest(),
        "judge": judge.pin,
    }
    return open_folder(MATCH_FILE, said, to, names=[str(side) for side in sides])


def answers_of(sides: Sequence[Path], prompts: Path | None, folder: Path, progress: Progress) -> list[Answers]:
    """Both sides' answers. Prompts are those of the file, else those of an outputs file, else the run's held-out ones.

    BadInput where the sides have not answered the same.
    """
    known, asked = _known(sides, prompts)
    return [known[side] if side in known else answer(side, asked, folder, progress) for side in sides]


def _known(sides: Sequence[Path], prompts: Path | None) -> tuple[dict[Path, Answers], dict[str, Kind]]:
    """The answers that are there already, and the prompts with their kinds; BadInput where they do not fit together."""
    known = {side: read_side(side) for side in sides if not is_model(side)}
    if not known and prompts is None:
        known = {side: held_out(side) for side in sides}
    if prompts is None:
        first = next(iter(known.values()))
        asked = first.kinds
        others: object = first.name
    else:
        asked, others = read_instructions(prompts), prompts
        known = {side: replace(answers, kinds={**answers.kinds, **asked}) for side, answers in known.items()}
    for answers in known.values():
        check_same_instructions(answers.texts, asked, answers.name, others)
    return known, asked


def meet(
    sides: Sequence[Answers], judge: Pinned, folder: Path, progress: Progress, engines: Engines | None = None
) -> list[Meeting]:
    """The verdicts on all pairs of answers, in both orders, in the order of the first side's prompts; `engines` as in `match`."""
    ours, theirs = sides
    pairs = [Pair(prompt, text, theirs.texts[prompt]) for prompt, text in ours.texts.items()]
    path = folder / MEETINGS_FILE
    recipe = judge.recipe
    if recipe is None:
        return list(
            store.fill(path, Meeting, pairs, _id, lambda batch: compare_with(longer, batch), len(pairs), progress)
        )
    with _opened(judge, engines) as open_engines:
        return list(
            store.fill(
                path,
                Meeting,
                pairs,
                _id,
                lambda batch: compare(open_engines.of(judge.folder), batch, judge.template, judge.read),
                judge.engine.batch_size,
                progress,
            )
        )


def match(
    sides: Sequence[Answers], judge: Pinned, folder: Path, progress: Progress, engines: Engines | None = None
) -> dict[str, Any]:
    """Wins, ties and losses of the first side; see `verdicts.tally`, or `verdicts.shares` where scores decide.

    Besides: `faults`, why verdicts, or votes, could not be read; `identical` pairs of answers, which tie unseen; `empty`
    answers and `mean_length` in characters of either side; `longer_wins`, the share of decided prompts with answers of
    different lengths where the longer won; the judge's pin. `engines` are open for the judge, so that it is loaded once for
    several matches; without them it is opened for this one.
    """
    ours, theirs = sides
    prompts = list(ours.texts)
    kinds = [merged(ours.kinds[prompt], theirs.kinds[prompt]) for prompt in prompts]
    seed = judge.recipe.seed if judge.recipe else 0
    if judge.by == "scores":
        outcomes, faults = _by_scores(sides, judge, folder, progress, engines)
        found = {**shares(outcomes, seed), **by_kind(outcomes, kinds, lambda group: shares(group, seed))}
    else:
        meetings = meet(sides, judge, folder, progress, engines)
        outcomes = [outcome([verdict.winner for verdict in meeting.verdicts]) for meeting in meetings]
        verdicts = [
            Verdict(id=meeting.id, order=verdict.order, winner=verdict.winner, **asdict(kind))
            for meeting, kind in zip(meetings, kinds, strict=True)
            for verdict in meeting.verdicts
        ]
        faults = Counter(verdict.fault for meeting in meetings for verdict in meeting.verdicts if verdict.fault)
        found = tally(verdicts, seed)
    lengths = [(len(ours.texts[prompt]), len(theirs.texts[prompt])) for prompt in prompts]
    found |= {
        "faults": dict(faults),
        "models": [ours.name, theirs.name],
        "identical": sum(ours.texts[prompt] == theirs.texts[prompt] for prompt in prompts),
        "empty": [ours.empty, theirs.empty],
        "mean_length": [sum(pair[side] for pair in lengths) / len(lengths) for side in (0, 1)],
        "longer_wins": share_of(
            [(a > b) == (won == 1)] for won, (a, b) in zip(outcomes, lengths, strict=True) if won and a != b
        ),
        "judge": judge.pin,
    }
    store.write_json(folder / RESULT_FILE, found)
    return found


def _by_scores(
    sides: Sequence[Answers], judge: Pinned, folder: Path, progress: Progress, engines: Engines | None
) -> tuple[list[Winner | None], Counter[VoteFault]]:
    """Who has the higher score on each prompt, None where a side has none; and the faults of votes.

    Matches in `evals` share the judgements of their judge, so that an answer that plays in several is judged once.
    """
    assert judge.recipe is not None, "a rule gives no scores"
    responses = {
        (prompt, text): Response(
            id=digest("given", prompt, text), prompt_id=digest("prompt", prompt), prompt=prompt, text=text, model="given",
            sample=0, num_tokens=None, finished=True,
        )
        for side in sides
        for prompt, text in side.texts.items()
    }  # fmt: skip
    settings = judge.recipe.judge
    if folder.parent == EVALS:
        folder = open_folder(JUDGE_FILE, {"judge": judge.pin}, None)
    with _opened(judge, engines) as open_engines:
        path = folder / store.JUDGEMENTS_FILE
        judgements = judge_into(
            path, list(responses.values()), settings, judge.recipe, open_engines, judge.folder, judge.name, progress
        )
    scores = {(found.prompt, found.response): found.score for found in judgements}
    faults = Counter(vote.fault for found in judgements for vote in found.votes if vote.fault)
    return [higher(*(scores[prompt, side.texts[prompt]] for side in sides)) for prompt in sides[0].texts], faults


@contextmanager
def _opened(judge: Pinned, engines: Engines | None) -> Iterator[Engines]:
    """The engines that are open for a judge, or those of its own, which are closed at the end."""
    if engines is not None:
        yield engines
        return
    with opened(judge.engine) as own:
        yield own


def _id(pair: Pair) -> str:
    return pair.id


def results(folders: Sequence[Path], force: bool = False) -> list[dict[str, Any]]:
    """The results of finished matches; BadInput where one is none, and, unless forced, where their judges differ."""
    found = []
    for folder in folders:
        if not (folder / RESULT_FILE).is_file():
            raise BadInput("no finished match", folder, "give folders of `selfreward eval head-to-head`")
        found.append(dict(store.read_json(folder / RESULT_FILE)))
    judges = [f"{one['judge']['judge']} ({digest(one['judge'])})" for one in found]
    refuse_mixed("judges", judges, folders[0].parent, force)
    return found
