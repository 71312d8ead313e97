"""What the texts of a run are like: where new prompts lie, how varied they are, how long everything is, what was dropped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfreward import store
from selfreward.analysis.texts import diversity, lengths
from selfreward.errors import BadInput
from selfreward.progress import Progress
from selfreward.records import Example, Judgement, Pair, Prompt, digest
from selfreward.report import tables
from selfreward.responses import Responses

SHOWN = 200  # characters of a prompt that go along with its point

Texts = dict[str, list[str]]


def analyse(run: Path, model: str, num_points: int, texts_only: bool, progress: Progress) -> dict[str, Any]:
    """Everything, written into the run as analysis.json and returned; `texts_only` leaves out what needs a model.

    `lengths` by stage; `diversity` and `overlap` by group of prompts; `points` has the map, {group, x, y, text}; `counts` and
    `seeds` say what filters dropped. `num_points` prompts at most are embedded, as many of each group as that allows, chosen
    by a hash of their texts. BadInput where the run has no prompts yet or scikit-learn is missing.
    """
    folder = store.RunFolder(run)
    recipe = folder.recipe()
    weights = folder.model_path(model)
    groups = prompt_groups(run)
    if not groups:
        raise BadInput("has no seeds yet", run, f"finish it with: selfreward run {run}")
    if not texts_only:
        from selfreward.analysis.embeddings import check_map

        check_map()
    fewest = min(len(texts) for texts in groups.values())
    shown = tables(run)
    found: dict[str, Any] = {
        "groups": {group: len(texts) for group, texts in groups.items()},
        "lengths": {stage: lengths(texts) for stage, texts in stage_texts(run).items()},
        "diversity": {group: diversity(_chosen(texts, fewest)) for group, texts in groups.items()},
        "counts": shown["counts"],
        "seeds": shown["seeds"],
        "embedded_by": None if texts_only else model,
        "overlap": {},
        "points": [],
    }
    if not texts_only:
        some = {group: _chosen(texts, num_points // len(groups)) for group, texts in groups.items()}
        with progress.stage("embeddings", sum(map(len, some.values()))) as advance:
            found |= _map(weights, some, recipe.engine)
            advance(len(found["points"]))
    store.write_json(run / store.ANALYSIS_FILE, found)
    return found


def prompt_groups(run: Path) -> Texts:
    """Different prompts by where they come from: ift, eft, and m2, m3 ... for the new prompts of the round that made it."""
    seed = run / store.SEED_FOLDER
    groups = {
        "ift": [example.prompt for example in _records(seed / store.IFT_FILE, Example)],
        "eft": [example.prompt for example in _records(seed / store.EFT_FILE, Example)],
    }
    for name in _rounds(run):
        groups[name] = [prompt.text for prompt in _records(run / name / store.PROMPTS_FILE, Prompt)]
    return {group: list(dict.fromkeys(texts)) for group, texts in groups.items() if texts}


def stage_texts(run: Path) -> Texts:
    """All texts of a run by the stage that made them; stages that have made none are left out."""
    seed = run / store.SEED_FOLDER
    found: Texts = {}
    for part, file in (("ift", store.IFT_FILE), ("eft", store.EFT_FILE)):
        examples = _records(seed / file, Example)
        found[f"{part} prompts"] = [example.prompt for example in examples]
        found[f"{part} responses"] = [example.response for example in examples]
    for name in ("sft", "m1", *_rounds(run)):
        folder = run / name
        pairs = _records(folder / store.PAIRS_FILE, Pair)
        found |= {
            f"{name} prompts": [prompt.text for prompt in _records(folder / store.PROMPTS_FILE, Prompt)],
            f"{name} candidates": _samples(folder / store.RESPONSES_FILE),
            f"{name} judgements": [
                vote.text for one in _records(folder / store.JUDGEMENTS_FILE, Judgement) for vote in one.votes
            ],
            f"{name} chosen": [pair.chosen for pair in pairs],
            f"{name} rejected": [pair.rejected for pair in pairs],
            f"{name} held-out answers": _samples(folder / store.EVAL_RESPONSES_FILE),
        }
    return {stage: texts for stage, texts in found.items() if texts}


def _rounds(run: Path) -> list[str]:
    """Folders of the rounds, in order."""
    numbers = [int(path.name[1:]) for path in run.glob("m[0-9]*") if path.name[1:].isdecimal()]
    return [f"m{number}" for number in sorted(numbers) if number > 1]


def _records(path: Path, record_type: Any) -> list[Any]:
    return store.read(path, record_type) if path.exists() else []


def _samples(path: Path) -> list[str]:
    return [sample.text for line in _records(path, Responses) for sample in line.samples]


def _chosen(texts: Sequence[str], num: int) -> list[str]:
    """At most `num` of the texts, by a hash of each, in their order."""
    chosen = set(sorted(texts, key=digest)[:num])
    return [text for text in texts if text in chosen]


def _map(weights: str, groups: Mapping[str, Sequence[str]], options: Any) -> dict[str, Any]:
    """The map of some prompts, and how far their groups mix."""
    from selfreward.analysis.embeddings import directions, embed, overlap, project

    labelled = [(group, text) for group, texts in groups.items() for text in texts]
    vectors = directions(embed(weights, [text for _, text in labelled], options))
    places = project(vectors)
    points = [
        {"group": group, "x": float(x), "y": float(y), "text": text[:SHOWN]}
        for (group, text), (x, y) in zip(labelled, places, strict=True)
    ]
    return {"overlap": overlap(vectors, [group for group, _ in labelled]), "points": points}
