"""Judges of a whole round: the frozen reward model in the place of the model that judges itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import support_engines

from selfreward import store
from selfreward.engines.opening import Engines
from selfreward.engines.scripted import ScriptedEngine
from selfreward.errors import BadInput, StageFailed
from selfreward.judges.reward_model import RewardModel
from selfreward.progress import QuietProgress
from selfreward.recipe import Recipe
from selfreward.records import Judgement, Lesson
from selfreward.round import Round
from selfreward.round_judges import check_judge
from selfreward.seeds import load_seeds
from selfreward.strategies import check_strategy, frozen_reward_model, rlhf, self_rewarding

SETTINGS: dict[str, Any] = {
    "name": "x",
    "seeds": {"num_ift": 20, "num_eft_prompts": 6},
    "prompts": {"num": 12, "max_tokens": 48, "template": "micro", "max_rouge_l": 1.0},
    "responses": {"max_tokens": 24},
    "judge": {"template": "micro", "max_tokens": 64},
    "engine": {"name": "support_engines:people", "batch_size": 5},
    "evaluation": {"num_ranked_sets": 4, "num_prompts": 4},
}


def recipe(**changes: Any) -> Recipe:
    return Recipe.of({**SETTINGS, **changes})


class Asked(Engines):
    """A scripted engine whatever the model; `prompts` are all that it was asked."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine(support_engines.said)

    def of(self, model_folder: str, options: Any = None) -> Any:
        return self.engine

    @property
    def prompts(self) -> list[str]:
        return [request.prompt for request in self.engine.requests]


@pytest.fixture
def new_round(tmp_path: Path, tiny_reward_model: Path) -> Callable[..., Round]:
    def make(recipe: Recipe, k: int = 2, in_run: bool = True) -> Round:
        folder = tmp_path / f"m{k}"
        folder.mkdir()
        seeds = load_seeds(recipe, tmp_path / "seed")
        options: dict[str, Any] = {"reward_model": lambda: tiny_reward_model} if in_run else {}
        return Round(k, recipe, seeds, [], folder, str, Asked(), QuietProgress(), **options)

    return make


def judgements(round_: Round) -> list[Judgement]:
    return store.read(round_.folder / store.JUDGEMENTS_FILE, Judgement)


def test_the_pairs_of_a_round_are_those_of_the_highest_and_the_lowest_reward(
    new_round: Callable[..., Round], tiny_reward_model: Path
) -> None:
    round_ = new_round(recipe())
    lesson = frozen_reward_model(round_)
    assert lesson.method == "dpo" and (lesson.start, lesson.reference) == (1, 1) and lesson.pairs
    model = RewardModel(tiny_reward_model, 2048, "cpu")
    for pair in lesson.pairs:
        found = [one.score for one in judgements(round_) if one.prompt_id == pair.prompt_id]
        assert (pair.chosen_score, pair.rejected_score) == (max(found), min(found))  # type: ignore[type-var]
        assert model.of_texts([(pair.prompt, pair.chosen)])[0] == pytest.approx(pair.chosen_score, abs=1e-5)


def test_no_language_model_is_asked_to_judge(new_round: Callable[..., Round]) -> None:
    round_ = new_round(recipe())
    frozen_reward_model(round_)
    assert not [prompt for prompt in round_.engines.prompts if prompt.startswith("Review")]  # type: ignore[attr-defined]
    assert {judgement.judge for judgement in judgements(round_)} == {"reward_model"}


def test_rewards_are_counted_as_votes_and_sound_no_alarm(
    new_round: Callable[..., Round], capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards of the judge look for ties and for one score that has it all: rewards have neither."""
    round_ = new_round(recipe())
    frozen_reward_model(round_)
    assert round_.counts["votes"] == {"read": 48}
    assert round_.counts["judgements"] == {"judgements": 48, "unscored": 0, "of_cut_responses": 0}
    assert "votes" not in capsys.readouterr().err


def test_the_judge_of_a_recipe_may_be_the_reward_model_whatever_the_strategy(new_round: Callable[..., Round]) -> None:
    named = new_round(recipe(judge={"name": "reward_model"}))
    pairs = self_rewarding(named).pairs
    (named.folder / store.JUDGEMENTS_FILE).unlink()
    assert frozen_reward_model(named).pairs == pairs


def test_a_lesson_of_rlhf_has_prompts_and_says_what_rewards_and_anchors(
    new_round: Callable[..., Round], tiny_reward_model: Path
) -> None:
    lesson = rlhf(new_round(recipe()))
    assert (lesson.method, len(lesson.prompts), lesson.pairs) == ("rl", 12, ())
    assert (lesson.start, lesson.reference, lesson.reward_model) == (1, 1, tiny_reward_model.parent.name)
    anchored = rlhf(new_round(recipe(lesson={"reference": "m1"}), k=3))
    assert (anchored.start, anchored.reference) == (2, 1)
    assert anchored.summary()["num_prompts"] == 12


def test_a_round_outside_of_a_run_says_that_it_has_no_reward_model(new_round: Callable[..., Round]) -> None:
    with pytest.raises(StageFailed, match="outside of a run"):
        frozen_reward_model(new_round(recipe(), in_run=False))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "frozen_reward_model", "seeds": {"num_eft_prompts": 0}}, "seeds.num_eft_prompts: is 0"),
        ({"strategy": "rlhf", "seeds": {"num_eft_prompts": 0}}, "rlhf needs people's rankings"),
        ({"strategy": "positives_only", "judge": {"name": "reward_model"}}, "rewards are no points"),
        (
            {"strategy": "rlhf", "training": {"launcher": "accelerate", "processes": 2}},
            "training.launcher: rlhf is trained in one process",
        ),
        (
            {"strategy": "frozen_reward_model", "training": {"launcher": "accelerate", "processes": 3}},
            "reward_model.batch: a batch of 64 does not divide",
        ),
    ],
)
def test_what_a_strategy_lacks_is_said_before_anything_runs(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check_strategy(recipe(**changes))


def test_a_judge_that_needs_rankings_says_so_and_a_wrong_name_is_offered_the_nearest() -> None:
    with pytest.raises(BadInput, match="the judge reward_model needs people's rankings"):
        check_judge(recipe(judge={"name": "reward_model"}, seeds={"num_eft_prompts": 0}))
    with pytest.raises(BadInput, match="did you mean reward_model"):
        check_judge(recipe(judge={"name": "rewardmodel"}))
    check_judge(recipe(judge={"name": "reward_model"}))


def test_a_lesson_can_be_read_back(new_round: Callable[..., Round]) -> None:
    lesson = rlhf(new_round(recipe()))
    assert Lesson.model_validate_json(lesson.model_dump_json()) == lesson


def people(words: str) -> Callable[[str], list[str]]:
    """Answers as people, and `words` to a comparison, which names the answer with more words."""

    def said(prompt: str) -> list[str]:
        if "<answer-1>" in prompt:
            first, second = (prompt.rsplit(f"<answer-{i}>", 1)[1].split(f"</answer-{i}>")[0].split() for i in (1, 2))
            return [words.format(1 if len(first) > len(second) else 2)]
        return support_engines.said(prompt)

    return said


def test_responses_compared_two_by_two_are_scored_by_the_share_of_comparisons_they_win(
    new_round: Callable[..., Round],
) -> None:
    round_ = new_round(recipe(judge={"name": "pairwise"}))
    round_.engines.engine = ScriptedEngine(people("Better: {}"))  # type: ignore[attr-defined]
    lesson = self_rewarding(round_)
    assert lesson.pairs
    for pair in lesson.pairs:
        assert len(pair.chosen.split()) > len(pair.rejected.split())
    for one in judgements(round_):
        assert len(one.votes) == 3 and {vote.score for vote in one.votes} <= {0.0, 0.5, 1.0}


def test_a_judge_that_always_says_the_first_wins_nothing_for_anyone(new_round: Callable[..., Round]) -> None:
    round_ = new_round(recipe(judge={"name": "pairwise"}))
    round_.engines.engine = ScriptedEngine(people("Better: 1"))  # type: ignore[attr-defined]
    assert not self_rewarding(round_).pairs
    assert {one.score for one in judgements(round_)} == {0.5}


def test_f01_a_comparison_that_cannot_be_read_is_no_vote(new_round: Callable[..., Round]) -> None:
    round_ = new_round(recipe(judge={"name": "pairwise"}))
    round_.engines.engine = ScriptedEngine(people("I like both."))  # type: ignore[attr-defined]
    assert not self_rewarding(round_).pairs
    different = [one for one in judgements(round_) if one.score is None]
    assert different and all(
        vote.fault == "unreadable" for one in different for vote in one.votes if vote.score is None
    )


def test_an_implicit_judge_scores_by_what_the_model_finds_likelier_than_the_one_before(
    new_round: Callable[..., Round],
) -> None:
    round_ = new_round(recipe(judge={"name": "implicit"}))
    logliks = {"m1": lambda p, r: -1.0 * len(r), "m0": lambda p, r: -2.0 * len(r)}

    class Two(Asked):
        def of(self, model_folder: str, options: Any = None) -> Any:
            k = "m1" if model_folder.endswith("1") else "m0"
            return ScriptedEngine(support_engines.said, loglik=logliks[k])

    round_.engines = Two()
    lesson = self_rewarding(round_)
    assert lesson.pairs
    assert all(one.score == len(one.response) for one in judgements(round_))
    assert all(len(pair.chosen) > len(pair.rejected) for pair in lesson.pairs)


def test_an_ensemble_scores_what_its_members_agree_on_and_nothing_else(new_round: Callable[..., Round]) -> None:
    panel = {
        "name": "ensemble",
        "members": [{"template": "micro"}, {"template": "additive"}],
        "votes": 1,
        "agreement": 0.5,
    }
    round_ = new_round(recipe(judge=panel))

    def said(prompt: str) -> list[str]:
        if prompt.startswith("Review the answer."):
            return ["Good. Score: 4"]
        if "<response>" in prompt:
            words = prompt.rsplit("<response>", 1)[1].split("</response>")[0].split()
            return [f"Score: {4 if len(words) % 2 else 2}"]
        return support_engines.said(prompt)

    round_.engines.engine = ScriptedEngine(said)  # type: ignore[attr-defined]
    self_rewarding(round_)
    found = judgements(round_)
    assert {one.score for one in found} == {4.0, None}
    for one in found:
        assert [vote.score for vote in one.votes] == [4.0, 4.0 if len(one.response.split()) % 2 else 2.0]
        assert (one.score is None) == (len(one.response.split()) % 2 == 0)


@pytest.mark.parametrize(
    ("judge", "says"),
    [
        ({"members": [{}, {}]}, "name: ensemble"),
        ({"name": "ensemble"}, "two or more"),
        ({"name": "ensemble", "members": [{"votes": 0}, {}]}, "votes"),
        ({"name": "ensemble", "members": [{"name": "llm"}, {}]}, "a member is the model"),
        ({"name": "pairwise", "compare": "nothing"}, "no pairwise template"),
    ],
)
def test_a_judge_that_lacks_something_says_so_before_anything_runs(judge: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_judge(recipe(judge=judge))
