"""The seeds of people's data: which source gives which part, what is held out, and that no two parts share a prompt."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from selfreward.errors import BadInput
from selfreward.recipe import Recipe, Source
from selfreward.recipe import Seeds as Settings
from selfreward.records import Example, RankedSet
from selfreward.seeds.choosing import choose, normal, usable_examples, usable_sets, without
from selfreward.seeds.forms import FORMS
from selfreward.seeds.reading import Read, read
from selfreward.store import EVAL_SEED_FILE, IFT_FILE, RANKED_FILE, VALIDATION_SEED_FILE

Counts = dict[str, dict[str, int]]
Parts = tuple[list[Example], list[RankedSet], list[RankedSet], list[RankedSet], Counts]


def from_data(recipe: Recipe) -> Parts:
    """IFT examples, ranked sets for EFT, for evaluation, for validation, and what became of everything that was read.

    Evaluation comes first, then validation, then EFT, then IFT: a prompt belongs to the first that takes it. What is held out
    does not depend on the run seed, so that runs are measured on the same prompts and none has trained on those of another.
    BadInput where a source cannot be read, has no ranked responses, or holds too little.
    """
    settings = recipe.seeds
    sources = part_sources(settings)
    wanted = {"evaluation": recipe.evaluation.num_ranked_sets}
    if early_stopping := recipe.training.early_stopping:
        wanted["validation"] = early_stopping.prompts
    else:
        sources.pop("validation", None)
    held = {source: read(source, settings.bad_lines) for source in dict.fromkeys(sources.values())}
    for part in ("ranked", *wanted):
        _check_ranked(part, sources.get(part), held)

    counts: dict[str, Counter[str]] = {part: Counter(held[source].counts) for part, source in sources.items()}
    pool, left_out = usable_sets(held[sources["ranked"]].found, settings.max_chars)
    counts["ranked"] += left_out
    examples, left_out = usable_examples(held[sources["ift"]].found, settings.max_chars)
    counts["ift"] += left_out
    held_out: dict[str, list[RankedSet]] = {}
    for part, num in wanted.items():
        counted = counts.setdefault(part, Counter())
        own = sources.get(part)
        if own:
            others, left_out = usable_sets(held[own].found, settings.max_chars)
            counted += left_out
            for earlier, sets in held_out.items():
                others = without(others, _prompts(sets), f"shared_with_{earlier}", counted)
        chosen = held_out[part] = choose(others if own else pool, num, counted, part)
        if not own:
            counted["not_needed"] = 0  # what is not held out is counted where it goes
        pool = without(pool, _prompts(chosen), f"shared_with_{part}" if own else "held_out", counts["ranked"])
        examples = without(examples, _prompts(chosen), f"shared_with_{part}", counts["ift"])
    ranked = choose(pool, settings.num_eft_prompts, counts["ranked"], recipe.seed, "ranked")
    examples = without(examples, _prompts(ranked), "shared_with_ranked", counts["ift"])
    ift = choose(examples, settings.num_ift, counts["ift"], recipe.seed, "ift")

    enough: dict[str, tuple[int, Sequence[object], Counter[str]]] = {
        "seeds.num_ift": (settings.num_ift, ift, counts["ift"]),
        "seeds.num_eft_prompts": (settings.num_eft_prompts, ranked, counts["ranked"]),
    }
    settings_of = {"evaluation": "evaluation.num_ranked_sets", "validation": "training.early_stopping.prompts"}
    enough |= {settings_of[part]: (num, held_out[part], counts[part]) for part, num in wanted.items()}
    _check_enough(enough)
    counted_parts = {part: _in_order(found) for part, found in counts.items()}
    return ift, ranked, held_out["evaluation"], held_out.get("validation", []), counted_parts


def _prompts(sets: Sequence[RankedSet]) -> set[str]:
    """The prompts of sets in normal form."""
    return {normal(one.prompt) for one in sets}


def part_sources(settings: Settings) -> dict[str, Source]:
    """The source of each part: ift, ranked and, where they are not held out, evaluation and validation.

    A `source` that is a folder with a run's file of IFT or of ranked seeds is taken for seeds, each file a part; a run that
    stops nothing early has no validation seed.
    """
    sources: dict[str, Source] = {}
    if settings.source:
        sources = {"ift": settings.source, "ranked": settings.source}
        folder = Path(os.path.expanduser(settings.source.path))
        files = {"ift": IFT_FILE, "ranked": RANKED_FILE, "evaluation": EVAL_SEED_FILE}
        if any((folder / files[part]).is_file() for part in sources):  # any data set may have an eval.jsonl
            for name in files.values():
                if not (folder / name).is_file():
                    raise BadInput(f"has no {name}", folder, f"a folder of seeds has {', '.join(files.values())}")
            if (folder / VALIDATION_SEED_FILE).is_file():
                files["validation"] = VALIDATION_SEED_FILE
            sources = {part: settings.source.model_copy(update={"path": str(folder / n)}) for part, n in files.items()}
    named = {"ift": settings.ift, "ranked": settings.ranked, "evaluation": settings.evaluation}
    return sources | {part: source for part, source in named.items() if source}


def _in_order(counts: Counter[str]) -> dict[str, int]:
    """What was counted at all, what became of the usable ones last."""
    last = ("not_needed", "used")
    return {fate: counts[fate] for fate in (*(fate for fate in counts if fate not in last), *last) if counts[fate]}


def _check_ranked(part: str, source: Source | None, held: Mapping[Source, Read]) -> None:
    """BadInput where a source of ranked responses has none."""
    if source and not FORMS[held[source].form].is_ranked:
        ranked = ", ".join(name for name, form in FORMS.items() if form.is_ranked)
        what = (
            f"data of the form {held[source].form} have one response to a prompt, seeds.{part} wants several with ranks"
        )
        raise BadInput(what, source.path, f"name a source of one of these forms: {ranked}")


def _check_enough(parts: Mapping[str, tuple[int, Sequence[object], Counter[str]]]) -> None:
    """BadInput for every part that is smaller than was asked, with what became of the rest."""
    lacking, remedies = [], []
    for name, (asked, chosen, counts) in parts.items():
        if len(chosen) < asked:
            lost = ", ".join(f"{fate} {n}" for fate, n in counts.most_common() if n and fate != "used")
            lacking.append(f"{name} is {asked}, there are {len(chosen)} ({lost or 'no more'})")
            remedies += [f"{name} to {len(chosen)}"] if chosen else []
    if lacking:
        raise BadInput(
            "; ".join(lacking), "too few seeds", f"set {' and '.join(remedies)} or add data" if remedies else "add data"
        )
