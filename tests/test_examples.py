"""The examples run, in the recipe lines that they name, and stay on a page."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from selfreward import store
from selfreward.judges.votes import make_judgement
from selfreward.loop import check, run
from selfreward.progress import QuietProgress
from selfreward.recipe import Pairs, load_recipe
from selfreward.records import Judgement, Pair, Response, Vote
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
        expected = [max(0.0, 5.0 - abs(len(one.response.split()) - 8)) for one in judgements]
        assert [one.score for one in judgements] == expected
    if name == "pairing":
        assert "unsure_responses" in counts
    assert not verify(tmp_path / "run")["problems"]


def test_the_examples_pairing_leaves_out_what_the_judge_is_unsure_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    sure = import_module("examples.pairing").sure
    votes = [(5.0, 1.0), (4.0, 4.0), (2.0, 3.0)]
    judgements = []
    for i, points in enumerate(votes):
        response = Response(
            id=f"r{i}", prompt_id="p", prompt="p", text=f"text {i}", model="m1", sample=i, num_tokens=1, finished=True
        )
        judgements.append(make_judgement(response, [Vote(score=one, fault=None, text="") for one in points], "m1"))
    pairing = sure(judgements, Pairs(), 0)
    (pair,) = pairing.pairs
    assert (pair.chosen, pair.rejected, pairing.counts["unsure_responses"]) == ("text 1", "text 2", 1)
