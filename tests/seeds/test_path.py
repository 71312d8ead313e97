"""The whole path on texts as people write them: seeds, SFT, judging, EFT, with a small random Llama and real training."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import get_args

import pytest
from support_seeds import CODE, PROMPTS, build_llama, messages, write_lines

from selfreward import store
from selfreward.engines.opening import opened
from selfreward.judges.shown import judge_prompt
from selfreward.judges.votes import read_vote
from selfreward.loop import eft_seed
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Example, Judgement, Lesson, RankedSet, VoteFault
from selfreward.seeds import load_seeds, write_seeds
from selfreward.seeds.eft import STEPS
from selfreward.training.train import train

GRADES = [{"prompt": f"Grade essay {i}.", "completion": f"It is fine.\nScore: {i % 6}"} for i in range(24)]
LONG = "A long answer goes on and on. " * 120


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with seeds, a baseline that has learnt to end on a score, and what became of its judgements."""
    folder = tmp_path_factory.mktemp("path")
    texts = [text for prompt, texts in PROMPTS.items() for text in (prompt, *texts)] + [str(row) for row in GRADES]
    m0 = build_llama(folder / "m0", texts * 4, context=1024)
    people = [{**row, "text": LONG} if row["message_id"] == "5-2" else row for row in messages()]
    recipe = Recipe.of(
        {
            "name": "path",
            "model": str(m0),
            "seeds": {
                "ift": str(write_lines(folder / "grades.jsonl", GRADES)),
                "ranked": str(write_lines(folder / "oasst.jsonl", people)),
                "num_ift": 24,
                "num_eft_prompts": 5,
            },
            "evaluation": {"num_ranked_sets": 1},
            "sft": {"epochs": 24, "lr": 5e-3, "final_lr": 1e-3, "batch": 8, "dropout": 0, "max_tokens": 512},
            "eft": {"attempts": 8, "max_tokens": 24, "temperature": 1.0, "top_p": 1.0},
            "engine": {"threads": 1, "device": "cpu"},
        }
    )
    with store.open_run(folder / "run", recipe) as run, opened(recipe.engine) as engines:
        seeds = load_seeds(recipe, run.folder(store.SEED_FOLDER))
        write_seeds(seeds, run.folder(store.SEED_FOLDER))
        lesson = Lesson(method="sft", examples=tuple(seeds.ift), start=0)
        baseline = train(lesson, lambda k: str(m0), run.folder("sft"), recipe, QuietProgress(), run.log)
        eft_seed(run, recipe, seeds, engines, str(baseline), QuietProgress())
    return folder / "run"


def judgements(run: Path) -> list[Judgement]:
    return store.read(run / store.SEED_FOLDER / store.EFT_JUDGEMENTS_FILE, Judgement)


def eft_counts(run: Path) -> dict[str, int]:
    return dict(store.read_json(run / store.SEED_FOLDER / store.COUNTS_FILE)["eft"])


def test_every_ranked_response_is_judged_as_people_wrote_it(run: Path) -> None:
    ranked = store.read(run / store.SEED_FOLDER / store.RANKED_FILE, RankedSet)
    texts = {response.text for one in ranked for response in one.responses}
    assert texts == {judgement.response for judgement in judgements(run)}
    assert {CODE, LONG.strip(), "🤷"} < texts
    assert all(len(judgement.votes) == 8 for judgement in judgements(run))


def test_f01_votes_that_cannot_be_read_are_counted_by_their_fault(run: Path) -> None:
    faults = Counter(vote.fault for judgement in judgements(run) for vote in judgement.votes)
    counts = eft_counts(run)
    assert counts.keys() == set(STEPS)
    assert counts["votes"] == faults.total()
    for fault in get_args(VoteFault):
        assert counts[f"votes_{fault}"] == faults[fault]
    assert faults[None] > 50 and faults["unreadable"] > 0  # the baseline has learnt to end on a score, mostly


def test_f17_a_response_that_the_judge_has_no_room_for_has_no_score_and_makes_its_set_unusable(run: Path) -> None:
    (long,) = [judgement for judgement in judgements(run) if judgement.response == LONG.strip()]
    assert {vote.fault for vote in long.votes} == {"too_long"} and long.score is None
    assert eft_counts(run)["sets_unusable"] == 1
    assert not any(LONG[:60] in example.prompt for example in store.read(run / "seed" / store.EFT_FILE, Example))


def test_the_eft_seed_is_what_the_baseline_said_in_the_order_of_people(run: Path) -> None:
    eft = store.read(run / store.SEED_FOLDER / store.EFT_FILE, Example)
    ranked = store.read(run / store.SEED_FOLDER / store.RANKED_FILE, RankedSet)
    scores = {example.prompt: read_vote(example.response, finished=True).score for example in eft}
    counts = eft_counts(run)
    assert counts["sets"] == counts["sets_unusable"] + counts["sets_disagreeing"] + counts["sets_kept"] == len(ranked)
    assert len(eft) == counts["judgements_kept"] - counts["judgements_thinned_out"] > 0
    said = {vote.text.strip() for judgement in judgements(run) for vote in judgement.votes}
    assert {example.response for example in eft} <= said
    num_pairs = 0
    for one in ranked:
        prompts = [judge_prompt("additive", one.prompt, r.text) for r in one.responses]
        found = [(r.rank, scores[p]) for r, p in zip(one.responses, prompts, strict=True) if p in scores]
        for better, worse in combinations(sorted(found), 2):
            assert better[1] is not None and worse[1] is not None and better[1] > worse[1]
            num_pairs += 1
    assert num_pairs > 0
