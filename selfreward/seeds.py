"""The human data a run starts from: the IFT seed, the ranked responses, and the EFT seed that is built from them.

EFT building is the paper's (section 3.1.1): the SFT baseline judges responses that people ranked, a set is kept where the
order of its scores is the people's order, and the most common score is thinned out.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfreward import store
from selfreward.errors import BadInput
from selfreward.judges.llm import judge_prompt
from selfreward.recipe import Recipe
from selfreward.records import Example, Judgement, Prompt, RankedSet, digest
from selfreward.responses import ranked_response_id


@dataclass(frozen=True)
class Seeds:
    """What people gave; the three parts share no prompt."""

    ift: list[Example]
    ranked: list[RankedSet]  # what the EFT seed is built from
    evaluation: list[RankedSet]  # held out: judges are measured on it
    is_held_out: Callable[[str], bool]  # whether a text is a prompt that evaluation has reserved

    @property
    def prompts(self) -> list[Prompt]:
        """The instructions of the IFT seed."""
        return [Prompt(id=example.id, text=example.prompt, source="ift") for example in self.ift]


def load_seeds(recipe: Recipe, folder: Path) -> Seeds:
    """The seeds of a run, written into `folder` the first time and read from there ever after.

    BadInput where a source folder lacks a file, and where two parts share a prompt.
    """
    paths = [folder / name for name in (store.IFT_FILE, store.RANKED_FILE, store.EVAL_SEED_FILE)]
    made = not all(path.exists() for path in paths)
    if made:
        source = recipe.seeds.source
        ift, ranked, evaluation = _micro(recipe) if source == "micro" else _from_folder(Path(source), recipe)
    else:
        ift = store.read(paths[0], Example)
        ranked, evaluation = (store.read(path, RankedSet) for path in paths[1:])
    _check_disjoint(ift, ranked, evaluation, recipe.seeds.source)
    if made:
        store.write_once(paths[0], ift)
        store.write_once(paths[1], ranked)
        store.write_once(paths[2], evaluation)
    return Seeds(ift, ranked, evaluation, _held_out(recipe, evaluation))


def _micro(recipe: Recipe) -> tuple[list[Example], list[RankedSet], list[RankedSet]]:
    """The embedded default: average people of the micro-world."""
    from selfreward.micro import people

    wanted = recipe.seeds
    ift = people.write_ift(wanted.num_ift, recipe.seed)
    taken = {example.prompt for example in ift}
    ranked = people.rank_responses(wanted.num_eft_prompts, wanted.num_ranked_responses, recipe.seed, "train", taken)
    evaluation = people.rank_responses(
        recipe.evaluation.num_ranked_sets, wanted.num_ranked_responses, recipe.seed, recipe.evaluation.split, set()
    )
    return ift, ranked, evaluation


def _from_folder(source: Path, recipe: Recipe) -> tuple[list[Example], list[RankedSet], list[RankedSet]]:
    """The first lines of ift.jsonl, ranked.jsonl and eval.jsonl in a folder, as many as the recipe asks for."""
    wanted = recipe.seeds
    for name in (store.IFT_FILE, store.RANKED_FILE, store.EVAL_SEED_FILE):
        if not (source / name).is_file():
            raise BadInput(f"has no {name}", source, "seeds.source is `micro` or a folder with the three seed files")
    ift = store.read(source / store.IFT_FILE, Example)[: wanted.num_ift]
    ranked = store.read(source / store.RANKED_FILE, RankedSet)[: wanted.num_eft_prompts]
    evaluation = store.read(source / store.EVAL_SEED_FILE, RankedSet)[: recipe.evaluation.num_ranked_sets]
    for name, num, asked in (
        ("seeds.num_ift", len(ift), wanted.num_ift),
        ("seeds.num_eft_prompts", len(ranked), wanted.num_eft_prompts),
        ("evaluation.num_ranked_sets", len(evaluation), recipe.evaluation.num_ranked_sets),
    ):
        if num < asked:
            raise BadInput(f"{name} is {asked}, there are {num}", source, f"set {name} to {num} or add data")
    for name, sets in ((store.RANKED_FILE, ranked), (store.EVAL_SEED_FILE, evaluation)):
        if twice := [id_ for id_, times in Counter(one.id for one in sets).items() if times > 1]:
            raise BadInput(f"the id {twice[0]!r} stands twice", source / name, "give every set an id of its own")
    return ift, ranked, evaluation


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _check_disjoint(
    ift: Sequence[Example], ranked: Sequence[RankedSet], evaluation: Sequence[RankedSet], source: str
) -> None:
    """BadInput where two parts share a prompt, letter case and spacing aside."""
    parts = {
        "IFT": {_normal(example.prompt) for example in ift},
        "EFT": {_normal(ranked_set.prompt) for ranked_set in ranked},
        "evaluation": {_normal(ranked_set.prompt) for ranked_set in evaluation},
    }
    names = list(parts)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if shared := parts[one] & parts[other]:
                what = f"{one} and {other} seeds share {len(shared)} prompts, such as {min(shared)!r}"
                raise BadInput(what, source, "remove them from one of the two")


def _held_out(recipe: Recipe, evaluation: Sequence[RankedSet]) -> Callable[[str], bool]:
    """In the micro-world whole splits are held out; elsewhere the prompts of the evaluation seed."""
    if recipe.seeds.source == "micro":
        from selfreward.micro.tasks import split_of

        return lambda text: split_of(text) != "train"
    texts = {_normal(ranked_set.prompt) for ranked_set in evaluation}
    return lambda text: _normal(text) in texts


def build_eft(
    sets: Sequence[RankedSet], judgements: Sequence[Judgement], template: str, max_share: float, min_words: int = 0
) -> tuple[list[Example], dict[str, int]]:
    """The EFT seed and the counts of its making.

    `judgements` hold several votes for each response of the sets. Of those that can be read and have at least `min_words`
    words, the first of every response make a first try, the second a second; the first try whose order is the people's is
    kept. Then examples of the most common score are left out until they are at most `max_share` of all.
    """
    by_response = {judgement.response_id: judgement for judgement in judgements}
    counts: Counter[str] = Counter(sets=len(sets), sets_kept=0, sets_unusable=0, sets_disagreeing=0)
    kept: list[tuple[Example, float]] = []
    for ranked_set in sets:
        judged = [by_response[ranked_response_id(ranked_set, i)] for i in range(len(ranked_set.responses))]
        usable = [
            [vote for vote in judgement.votes if vote.score is not None and _num_words(vote.text) >= min_words]
            for judgement in judged
        ]
        tries = list(zip(*usable, strict=False))  # as many as the response with the fewest has
        ranks = [response.rank for response in ranked_set.responses]
        agreeing = next((votes for votes in tries if agrees(ranks, [v.score or 0.0 for v in votes])), None)
        if agreeing is None:
            counts["sets_disagreeing" if tries else "sets_unusable"] += 1
            continue
        counts["sets_kept"] += 1
        for judgement, vote in zip(judged, agreeing, strict=True):
            prompt = judge_prompt(template, judgement.prompt, judgement.response, judgement.cut)
            example = Example(id=digest("eft", prompt), prompt=prompt, response=vote.text.strip(), source="eft")
            kept.append((example, vote.score or 0.0))
    thinned = _thin(kept, max_share)
    counts["judgements_kept"] = len(kept)
    counts["judgements_thinned_out"] = len(kept) - len(thinned)
    return thinned, dict(counts)


def _num_words(judgement: str) -> int:
    """Words before the last line or sentence that gives the score."""
    reasons, _, _ = judgement.rpartition("Score")
    return len(reasons.split())


def agrees(ranks: Sequence[int], scores: Sequence[float]) -> bool:
    """Whether of any two responses of different rank the better one has the strictly higher score."""
    return all(scores[i] > scores[j] for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j])


def _thin(kept: list[tuple[Example, float]], max_share: float) -> list[Example]:
    """All examples but some of the most common score, which ones by their ids."""
    if not kept:
        return []
    common, num_common = Counter(score for _, score in kept).most_common(1)[0]
    others = len(kept) - num_common
    allowed = num_common if max_share >= 1 or not others else min(num_common, int(max_share * others / (1 - max_share)))
    chosen = sorted((e.id for e, score in kept if score == common))[:allowed]
    return [example for example, score in kept if score != common or example.id in set(chosen)]
