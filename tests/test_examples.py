"""The examples run, in the recipe lines that they name, and stay on a page."""

import re
from pathlib import Path

import pytest

from selfreward import store
from selfreward.loop import check, run
from selfreward.progress import QuietProgress
from selfreward.recipe import load_recipe
from selfreward.records import Judgement, Pair
from selfreward.verifying import verify

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NAMED = {
    file.stem: found[1] for file in EXAMPLES if (found := re.search(r"--set (\S+=examples\.\S+)", file.read_text()))
}
SMALL = [
    "seeds.num_ift=24", "seeds.num_eft_prompts=20", "eft.attempts=2", "prompts.num=12", "sft.epochs=1", "dpo.batch=4",
    "dpo.epochs=1", "judge.votes=2", "evaluation.num_prompts=4", "evaluation.num_ranked_sets=3", "evaluation.votes=1",
    "evaluation.num_samples=1", "rounds=1", "engine.name=support_engines:people",
]  # fmt: skip


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_a_page(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", ["strategy", "judge", "pairing"])
def test_an_example_runs_as_it_says(name: str, tiny_m0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipe = load_recipe("micro-fast", [*SMALL, f"model={tiny_m0}", NAMED[name]])
    check(recipe)
    run(recipe, tmp_path / "run", QuietProgress())
    pairs = store.read(tmp_path / "run/m2" / store.PAIRS_FILE, Pair)
    judgements = store.read(tmp_path / "run/m2" / store.JUDGEMENTS_FILE, Judgement)
    counts = store.read_json(tmp_path / "run/m2" / store.COUNTS_FILE)["pairs"]
    assert 0 < len(pairs) == counts["pairs"]
    if name == "strategy":
        scores = {one.response_id: one.score for one in judgements}
        for pair in pairs:
            of_prompt = sorted(
                (one.score or 0.0 for one in judgements if one.prompt_id == pair.prompt_id), reverse=True
            )
            assert [scores[pair.chosen_id], scores[pair.rejected_id]] == of_prompt[:2]
    if name == "judge":
        assert {one.judge for one in judgements} == {"examples.judge:brief"}
        assert all(
            one.score == max(0.0, 5.0 - abs(len(one.response.split()) - 8))
            for one in judgements
            if one.score is not None
        )
    if name == "pairing":
        assert counts["unsure_responses"] > 0
    assert not verify(tmp_path / "run")["problems"]
