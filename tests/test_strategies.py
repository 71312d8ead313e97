"""Strategies: a whole round with people for a model, from new prompts to the lesson."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import support_engines
from support_endpoint import FakeEndpoint

from selfreward import round as round_module
from selfreward import store
from selfreward.engines.opening import Engines, opened
from selfreward.engines.scripted import ScriptedEngine
from selfreward.errors import BadInput, StageFailed
from selfreward.micro.tasks import read_instruction, split_of
from selfreward.progress import QuietProgress
from selfreward.prompts import Attempt
from selfreward.recipe import EngineOptions, Recipe
from selfreward.records import Judgement, Lesson, Pair, Prompt
from selfreward.responses import Responses
from selfreward.round import Round
from selfreward.seeds import Seeds, load_seeds
from selfreward.strategies import STRATEGIES, positives_only, self_rewarding
from selfreward.templates import render

RECIPE = Recipe.of(
    {
        "name": "x",
        "seeds": {"num_ift": 20, "num_eft_prompts": 6},
        "prompts": {"num": 12, "max_tokens": 48, "template": "micro", "max_rouge_l": 1.0},
        "responses": {"max_tokens": 24},
        "judge": {"template": "micro", "max_tokens": 64},
        "meta_judge": {"read": "consensus"},
        "engine": {"name": "support_engines:people", "batch_size": 5},
        "evaluation": {"num_ranked_sets": 4, "num_prompts": 4},
    }
)


class One:
    """Stands for `Engines`: one engine whatever the model; `asked` are the model folders and `options` the engines', in order."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine, self.asked, self.options = engine, list[str](), list[EngineOptions | None]()

    def of(self, model_folder: str, options: EngineOptions | None = None) -> ScriptedEngine:
        self.asked.append(model_folder)
        self.options.append(options)
        return self.engine


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    return load_seeds(RECIPE, tmp_path_factory.mktemp("seed"))


@pytest.fixture(autouse=True)
def several_batches_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_module, "ATTEMPTS_AT_ONCE", 8)


@pytest.fixture
def new_round(seeds: Seeds, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Round]:
    """Makes a round of M2 in a folder of its own, or in the folder that is named."""

    def make(script: Any = support_engines.said, recipe: Recipe = RECIPE, run: str = "run", k: int = 2) -> Round:
        folder = tmp_path / run / f"m{k}"
        folder.mkdir(parents=True, exist_ok=True)
        engines: Any = One(ScriptedEngine(script))

        def look_ahead(lesson: Lesson, beside: str) -> None:
            (folder / beside.strip("/") / store.MODEL_FOLDER).mkdir(parents=True, exist_ok=True)

        def reward_model() -> Path:
            return request.getfixturevalue("tiny_reward_model")

        return Round(
            k, recipe, seeds, [], folder, lambda j: f"model of m{j}", engines, QuietProgress(), look_ahead, reward_model
        )

    return make


def changed(section: str, **values: Any) -> Recipe:
    """RECIPE with other values in one section."""
    return RECIPE.model_copy(update={section: getattr(RECIPE, section).model_copy(update=values)})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_round_of_self_rewarding_is_prompts_responses_judgements_pairs(new_round: Callable[..., Round]) -> None:
    round_ = new_round()
    lesson = self_rewarding(round_)

    prompts = store.read(round_.folder / store.PROMPTS_FILE, Prompt)
    responses = [r for line in store.read(round_.folder / store.RESPONSES_FILE, Responses) for r in line.samples]
    judgements = store.read(round_.folder / store.JUDGEMENTS_FILE, Judgement)
    pairs = store.read(round_.folder / store.PAIRS_FILE, Pair)
    assert (len(prompts), len(responses), len(judgements)) == (12, 48, 48)
    assert lesson == Lesson(method="dpo", pairs=tuple(pairs), start=1, reference=1)
    assert 0 < len(pairs) <= 12

    assert {response.prompt_id for response in responses} == {prompt.id for prompt in prompts}
    assert [judgement.response_id for judgement in judgements] == [response.id for response in responses]
    assert all(len(judgement.votes) == 3 for judgement in judgements)
    assert {prompt.source for prompt in prompts} == {response.model for response in responses} == {"m1"}
    assert {judgement.judge for judgement in judgements} == {"m1"}
    assert set(round_.engines.asked) == {"model of m1"}  # type: ignore[attr-defined]


def test_chosen_and_rejected_are_the_best_and_the_worst_of_their_prompt(new_round: Callable[..., Round]) -> None:
    round_ = new_round()
    pairs = {pair.prompt_id: pair for pair in self_rewarding(round_).pairs}
    for judgement in store.read(round_.folder / store.JUDGEMENTS_FILE, Judgement):
        if judgement.prompt_id in pairs and judgement.score is not None:
            pair = pairs[judgement.prompt_id]
            assert pair.rejected_score <= judgement.score <= pair.chosen_score
            assert pair.prompt == judgement.prompt


def test_every_stage_counts_what_it_made_and_what_it_dropped(new_round: Callable[..., Round]) -> None:
    round_ = new_round()
    lesson = self_rewarding(round_)
    counts = round_.counts
    assert set(counts) == {"prompts", "responses", "votes", "judgements", "pairs"}
    assert counts["judgements"]["judgements"] == 48 and counts["judgements"]["of_cut_responses"] == 0
    assert counts["prompts"]["accepted"] == 12
    assert counts["responses"] == {"responses": 48, "unfinished": 0}
    assert sum(counts["votes"].values()) == 48 * 3 and counts["votes"]["unreadable"] > 0
    assert counts["pairs"]["pairs"] == len(lesson.pairs)
    assert counts["pairs"]["prompts"] == 12


def test_f04_neither_examples_nor_held_out_tasks_become_prompts(new_round: Callable[..., Round], seeds: Seeds) -> None:
    """The people of this test often give back an example, or a task that evaluation has reserved, or nothing of use."""
    round_ = new_round(recipe=changed("prompts", num=50))
    texts = [prompt.text for prompt in round_.new_prompts()]
    attempts = store.read(round_.folder / store.ATTEMPTS_FILE, Attempt)
    fates = round_.counts["prompts"]
    assert min(fates["held_out"], fates["too_short"], fates["in_seed"] + fates["duplicate"]) > 0
    assert len(set(texts)) == len(texts) == 50
    assert not set(texts) & ({e.prompt for e in seeds.ift} | {s.prompt for s in (*seeds.ranked, *seeds.evaluation)})
    assert {split_of(text) for text in texts} == {"train"}
    assert set(texts) < {attempt.text for attempt in attempts}


def test_f04_a_model_that_only_gives_examples_back_fails_and_says_so(new_round: Callable[..., Round]) -> None:
    round_ = new_round(lambda prompt: [line.removeprefix("Task: ") for line in prompt.split("\n")[1:]])
    with pytest.raises(StageFailed, match=r"wrote 0 acceptable prompts in 60 attempts \(in_seed \d+"):
        round_.new_prompts()
    assert not (round_.folder / store.PROMPTS_FILE).exists()


def test_f05_the_few_shot_prompt_does_not_grow(new_round: Callable[..., Round]) -> None:
    round_ = new_round()
    round_.new_prompts()
    shown = [len(request.prompt.split("\n")) - 1 for request in round_.engines.engine.requests]  # type: ignore[attr-defined]
    assert set(shown) == {8}


def test_attempts_that_were_killed_at_any_byte_end_in_the_same_file(
    new_round: Callable[..., Round], tmp_path: Path
) -> None:
    recipe = changed("prompts", num=25)
    whole = new_round(recipe=recipe)
    prompts = whole.new_prompts()
    content = (whole.folder / store.ATTEMPTS_FILE).read_bytes()
    assert content.count(b"\n") > 2 * round_module.ATTEMPTS_AT_ONCE
    for place in (0, 1, len(content) // 3, 2 * len(content) // 3, len(content) - 1, len(content)):
        round_ = new_round(recipe=recipe)
        (round_.folder / store.PROMPTS_FILE).unlink()
        (round_.folder / store.ATTEMPTS_FILE).write_bytes(content[:place])
        assert round_.new_prompts() == prompts
        assert (round_.folder / store.ATTEMPTS_FILE).read_bytes() == content


def test_later_attempts_see_what_was_written_before(new_round: Callable[..., Round]) -> None:
    round_ = new_round(recipe=changed("prompts", shots_seed=0, shots_generated=8, num=25))
    written = {prompt.id for prompt in round_.new_prompts()}
    attempts = store.read(round_.folder / store.ATTEMPTS_FILE, Attempt)
    assert not set(attempts[0].examples) & written
    assert set(attempts[-1].examples) <= written


def test_a_later_round_does_not_repeat_an_earlier_one(new_round: Callable[..., Round]) -> None:
    earlier = new_round().new_prompts()
    round_ = new_round(lambda prompt: [*(p.text for p in earlier), *support_engines.said(prompt)], k=3)
    later = round_.new_prompts()
    assert not {p.text for p in earlier} & {p.text for p in later}
    assert round_.counts["prompts"]["in_seed"] > 0
    assert {p.source for p in later} == {"m2"}


def test_f02_a_judge_of_the_opposite_taste_swaps_every_pair(new_round: Callable[..., Round]) -> None:
    def judging(taste: int) -> Callable[[str], list[str]]:
        def script(prompt: str) -> list[str]:
            if not prompt.startswith("Review"):
                return support_engines.said(prompt)
            points = len(prompt) % 5  # as good as any other, and no two responses of one length
            return [f"Hm. Score: {points if taste > 0 else 5 - points}"]

        return script

    pairs = {pair.prompt_id: pair for pair in self_rewarding(new_round(judging(1), run="one")).pairs}
    swapped = {pair.prompt_id: pair for pair in self_rewarding(new_round(judging(-1), run="other")).pairs}
    assert pairs.keys() == swapped.keys() and pairs
    for id_, pair in pairs.items():
        other = swapped[id_]
        assert (pair.chosen_score, pair.rejected_score) == (5 - other.rejected_score, 5 - other.chosen_score)
        assert len(pair.chosen) != len(pair.rejected)


def test_f01_unreadable_votes_lower_the_coverage_and_leave_the_mean(new_round: Callable[..., Round]) -> None:
    def script(prompt: str) -> list[str]:
        return ["Score: 4", "Hm.", "Score: 4"] if prompt.startswith("Review") else support_engines.said(prompt)

    round_ = new_round(script)
    judgements = round_.judge(round_.sample(round_.new_prompts()))
    assert {(judgement.score, round(judgement.coverage, 3)) for judgement in judgements} == {(4.0, 0.667)}
    assert round_.counts["votes"] == {"read": 96, "unreadable": 48}


def test_f01_a_judge_that_nobody_can_read_makes_no_pair(new_round: Callable[..., Round]) -> None:
    round_ = new_round(lambda prompt: ["Hm."] if prompt.startswith("Review") else support_engines.said(prompt))
    assert self_rewarding(round_).pairs == ()
    assert round_.counts["pairs"]["too_few_scored"] == 12


def test_f17_a_judge_prompt_that_does_not_fit_is_counted_and_never_scored(new_round: Callable[..., Round]) -> None:
    class Narrow(ScriptedEngine):
        """Has no room for a judge prompt of more than 55 words: empty, unfinished completions, as `Engine` says."""

        def generate(self, requests: Any, sampling: Any) -> Any:
            from selfreward.engines.base import Completion

            answers = super().generate(requests, sampling)
            long = [r.prompt.startswith("Review") and len(r.prompt.split()) > 55 for r in requests]
            nothing = Completion("", 0, False)
            return [[nothing] * len(a) if cut else a for a, cut in zip(answers, long, strict=True)]

    round_ = new_round()
    round_.engines.engine = Narrow(support_engines.said)  # type: ignore[attr-defined]
    lesson = self_rewarding(round_)
    judgements = store.read(round_.folder / store.JUDGEMENTS_FILE, Judgement)
    unscored = {j.response_id for j in judgements if {vote.fault for vote in j.votes} == {"too_long"}}
    assert 0 < len(unscored) < len(judgements)
    assert all(j.score is None and j.coverage == 0 for j in judgements if j.response_id in unscored)
    assert round_.counts["votes"]["too_long"] == 3 * len(unscored)
    assert round_.counts["judgements"]["unscored"] >= len(unscored)
    assert round_.counts["pairs"]["unscored_responses"] >= len(unscored)
    assert not {p.chosen_id for p in lesson.pairs} & unscored and not {p.rejected_id for p in lesson.pairs} & unscored


def test_f17_responses_that_were_cut_for_the_judge_are_counted_and_keep_their_whole_text(
    new_round: Callable[..., Round],
) -> None:
    def said(prompt: str) -> Any:
        return ["Fine. Score: 3", "Good. Score: 4"] if prompt.startswith("Review") else ["word " * 20]

    round_ = new_round(recipe=changed("judge", too_long="truncate", max_tokens=5))
    prompts = round_.new_prompts()
    round_.engines.engine = ScriptedEngine(said, context=74)  # type: ignore[attr-defined]
    judgements = round_.judge(round_.sample(prompts))
    cut = [judgement for judgement in judgements if judgement.cut]
    assert 0 < len(cut) < len(judgements) and all(judgement.score is not None for judgement in judgements)
    assert round_.counts["judgements"]["of_cut_responses"] == len(cut)
    assert {judgement.response for judgement in cut} == {"word " * 20}


def test_f19_f20_lines_of_a_file_in_another_order_change_nothing(new_round: Callable[..., Round]) -> None:
    """Everything joins by id: what is on disk may be shuffled, and a round made again from it says the same."""
    round_ = new_round()
    lesson = self_rewarding(round_)
    for name in (store.ATTEMPTS_FILE, store.RESPONSES_FILE, store.JUDGEMENTS_FILE):
        path = round_.folder / name
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    again = new_round(lambda prompt: pytest.fail("nothing is left to ask"))
    assert self_rewarding(again) == lesson
    assert again.counts == round_.counts


def test_f19_f20_a_response_that_is_not_judged_shifts_no_other(new_round: Callable[..., Round]) -> None:
    round_ = new_round()
    prompts = round_.new_prompts()
    responses = round_.sample(prompts)
    whole = {judgement.response_id: judgement for judgement in round_.judge(responses)}
    other = new_round(run="other")
    skipped = responses[:3] + responses[4:20] + responses[30:]
    assert {j.response_id: j for j in other.judge(skipped)} == {r.id: whole[r.id] for r in skipped}


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_round_that_is_interrupted_anywhere_goes_on_to_the_same_files(
    strategy: str, new_round: Callable[..., Round]
) -> None:
    whole = new_round(run="whole")
    lesson = STRATEGIES[strategy](whole)
    num_calls = len(whole.engines.engine.calls)  # type: ignore[attr-defined]

    class Stops(ScriptedEngine):
        """Answers one question, then is interrupted."""

        def generate(self, requests: Any, sampling: Any) -> Any:
            if self.calls:
                raise KeyboardInterrupt
            return super().generate(requests, sampling)

        def loglik(self, items: Any) -> Any:
            if self.calls:
                raise KeyboardInterrupt
            return super().loglik(items)

    interruptions = 0
    while True:
        round_ = new_round(run="stopped")
        round_.engines.engine = Stops(support_engines.said)  # type: ignore[attr-defined]
        try:
            found = STRATEGIES[strategy](round_)
        except KeyboardInterrupt:
            interruptions += 1
            continue
        break
    assert (found, round_.counts) == (lesson, whole.counts)
    assert files(round_.folder) == files(whole.folder)
    assert interruptions == max(0, num_calls - 1)


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_a_round_may_be_made_or_go_on_with_another_batch_size(new_round: Callable[..., Round], batch_size: int) -> None:
    first = new_round()
    lesson = self_rewarding(first)
    other = changed("engine", batch_size=batch_size)
    assert self_rewarding(new_round(recipe=other)) == lesson
    afresh = new_round(recipe=other, run="afresh")
    assert self_rewarding(afresh) == lesson
    assert files(afresh.folder) == files(first.folder)


def test_a_finished_round_asks_nothing_and_leaves_no_trace_of_time(new_round: Callable[..., Round]) -> None:
    lesson = self_rewarding(new_round())
    logged: list[dict[str, Any]] = []
    round_ = new_round(lambda prompt: pytest.fail("asked again"))
    round_.progress = QuietProgress(log=lambda **scalars: logged.append(scalars))
    assert self_rewarding(round_) == lesson
    assert [line for line in logged if "stage" in line] == []


def test_positives_only_teaches_m0_the_seeds_and_what_scored_five(
    new_round: Callable[..., Round], seeds: Seeds
) -> None:
    round_ = new_round()
    round_.eft = [example.model_copy(update={"source": "eft"}) for example in seeds.ift[:2]]
    lesson = positives_only(round_)
    assert (lesson.method, lesson.start, lesson.reference, lesson.pairs) == ("sft", 0, None, ())
    positive = [example for example in lesson.examples if example.source == "positive"]
    assert lesson.examples == (*seeds.ift, *round_.eft, *positive)
    judgements = store.read(round_.folder / store.JUDGEMENTS_FILE, Judgement)
    assert {(e.prompt, e.response) for e in positive} == {(j.prompt, j.response) for j in judgements if j.score == 5}
    assert round_.counts["examples"] == {"ift": 20, "eft": 2, "new": len(positive)}
    assert positive


def test_f29_a_mean_of_votes_is_no_whole_number(new_round: Callable[..., Round]) -> None:
    def script(prompt: str) -> list[str]:
        return ["Score: 4", "Score: 5", "Score: 5"] if prompt.startswith("Review") else support_engines.said(prompt)

    round_ = new_round(script)
    judgements = round_.judge(round_.sample(round_.new_prompts()))
    assert all(math.isclose(judgement.score or 0, 14 / 3) for judgement in judgements)


def test_the_prompts_of_a_round_are_instructions_of_the_world(new_round: Callable[..., Round]) -> None:
    assert None not in [read_instruction(prompt.text) for prompt in new_round().new_prompts()]


def test_f28_engines_hold_one_model_and_load_it_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SELFREWARD_TEST_OPENINGS", str(tmp_path / "openings"))
    engines = Engines(RECIPE.engine)
    first = engines.of("m1")
    assert engines.of("m1") is first
    second = engines.of("m2")
    assert first.closed and not second.closed  # type: ignore[attr-defined]
    engines.close()
    engines.close()
    assert second.closed  # type: ignore[attr-defined]
    assert (tmp_path / "openings").read_text().split() == ["m1", "m2"]


def test_an_unknown_engine_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"engine\.name"):
        Engines(changed("engine", name="locl").engine).of("m1")


def judged_by(url: str, model: str | None = "big-judge", **settings: Any) -> Recipe:
    server = {"url": url, "model": model}
    engine = EngineOptions.model_validate({"name": "server", "server": server, "batch_size": 7})
    return changed("judge", engine=engine, **settings)


def test_a_judge_with_an_engine_of_its_own_is_asked_there_and_named_after_its_model(
    new_round: Callable[..., Round],
) -> None:
    fake = FakeEndpoint(
        says=lambda prompt, temperature: ["Fine. Score: 4", "Score: 2", "Hm.", *map(str, range(9))], model="big-judge"
    )
    logged: list[dict[str, Any]] = []
    recipe = judged_by(fake.url)
    round_ = new_round(recipe=recipe)
    responses = round_.sample(round_.new_prompts())
    with opened(recipe.engine, lambda **scalars: logged.append(scalars)) as engines:
        round_.engines = engines
        judgements = round_.judge(responses)
    fake.close()
    assert {judgement.judge for judgement in judgements} == {"big-judge"}
    assert {vote.score for judgement in judgements for vote in judgement.votes} == {4, 2, None}
    asked = [body["messages"][0]["content"] for body in fake.bodies if body["max_tokens"] == recipe.judge.max_tokens]
    assert len(asked) == len(responses) and all(prompt.startswith("Review") for prompt in asked)
    assert logged[0] == {"opened": "server", "model": "big-judge"}
    assert logged[1]["closed"] == "server" and logged[1]["answered_by"] == {"big-judge": len(fake.bodies)}


def test_judgements_that_a_server_gave_before_it_failed_are_kept(new_round: Callable[..., Round]) -> None:
    fake = FakeEndpoint(says=lambda prompt, temperature: ["Score: 4", *map(str, range(9))], model="big-judge")
    recipe = judged_by(fake.url)
    round_ = new_round(recipe=recipe)
    responses = round_.sample(round_.new_prompts())
    refused = render("judge", "micro", prompt=responses[4].prompt, response=responses[4].text)
    fake.faults_by_prompt[refused] = (400, {}, {"error": {"message": "no"}})
    with opened(recipe.engine) as engines:
        round_.engines = engines
        with pytest.raises(StageFailed, match="400: no"):
            round_.judge(responses)
        kept = store.read(round_.folder / store.JUDGEMENTS_FILE, Judgement)
        assert 0 < len(kept) < 7 and responses[4].id not in {judgement.response_id for judgement in kept}
        fake.faults_by_prompt.clear()
        assert len(round_.judge(responses)) == len(responses)
    fake.close()


def test_a_judge_on_a_server_without_a_name_is_the_model_of_the_round(new_round: Callable[..., Round]) -> None:
    round_ = new_round(recipe=judged_by("http://127.0.0.1:9/v1", model=None))
    judgements = round_.judge(round_.sample(round_.new_prompts()))
    assert {judgement.judge for judgement in judgements} == {"m1"}
    assert round_.engines.options[-1] == round_.recipe.judge.engine  # type: ignore[attr-defined]


def test_what_a_judge_was_shown_is_counted_and_stands_in_the_pairs_of_its_judgements(
    new_round: Callable[..., Round],
) -> None:
    grounded = changed("judge", name="grounded", database="micro", template="micro_grounded", passages=1)
    prompts = RECIPE.prompts.model_copy(update={"num": 40})
    round_ = new_round(recipe=grounded.model_copy(update={"strategy": "meta_rewarding", "prompts": prompts}))
    lesson = STRATEGIES["meta_rewarding"](round_)
    judgements = store.read(round_.folder / store.JUDGEMENTS_FILE, Judgement)
    shown = [judgement for judgement in judgements if judgement.evidence]
    assert round_.counts["judgements"]["with_evidence"] == len(shown) > 0
    assert {judgement.prompt.startswith(("What is the", "Tell me the")) for judgement in shown} == {True}
    asked = {request.prompt for request in round_.engines.engine.requests}  # type: ignore[attr-defined]
    of_judgements = {pair.prompt for pair in lesson.pairs if pair.prompt.startswith("Review the answer.")}
    assert of_judgements <= asked and any("\nEvidence: The " in prompt for prompt in of_judgements)


def test_expected_scores_leave_fewer_ties(new_round: Callable[..., Round]) -> None:
    """Where every vote says 4, the probabilities still order the responses."""

    def probs(text: str, candidates: Any) -> Any:
        p5 = (len(text) % 97) / 100
        return (0, 0, 0, 0, 1 - p5, p5)

    def script(prompt: str) -> list[str]:
        return ["Score: 4"] if prompt.startswith("Review") else support_engines.said(prompt)

    tied, read = new_round(script, run="tied"), new_round(script, changed("judge", read="expected"), run="read")
    read.engines.engine.token_probs = probs  # type: ignore[attr-defined]
    assert self_rewarding(tied).pairs == ()
    assert len(self_rewarding(read).pairs) == 12
    assert all(vote.probs for j in store.read(read.folder / store.JUDGEMENTS_FILE, Judgement) for vote in j.votes)


def says_five(prompt: str) -> list[str]:
    """Answers as people do, and likes every answer."""
    return ["Score: 5"] if prompt.startswith("Review the answer.") else support_engines.said(prompt)


def test_a_judge_that_always_says_five_is_warned_of_and_kept_with_the_run_until_its_round_is_over(
    new_round: Callable[..., Round], capsys: pytest.CaptureFixture[str]
) -> None:
    logged: list[dict[str, Any]] = []
    round_ = new_round(says_five)
    round_.progress = QuietProgress(log=lambda **scalars: logged.append(scalars))
    assert self_rewarding(round_).pairs == ()
    assert [line["guard"] for line in logged if "guard" in line] == ["ties", "one_score", "entropy", "pairs"]
    assert "warning: m2: 100% of the votes say 5 (guards.one_score)\n" in capsys.readouterr().err
    (round_.folder / store.MODEL_FOLDER).mkdir()
    self_rewarding(new_round(says_five))
    assert capsys.readouterr().err == ""


def test_a_model_that_repeats_itself_at_length_and_a_judge_that_cannot_be_read_give_alarms(
    new_round: Callable[..., Round],
) -> None:
    def rambles(prompt: str) -> list[str]:
        if prompt.startswith("Review"):
            return ["I would rather not say."]
        return ["a cat and " * 200] if "Task:" not in prompt else support_engines.said(prompt)

    recipe = changed("responses", max_tokens=10_000)
    round_, logged = new_round(rambles, recipe), list[dict[str, Any]]()
    round_.progress = QuietProgress(log=lambda **scalars: logged.append(scalars))
    assert self_rewarding(round_).pairs == ()
    alarms = {line["guard"]: line["said"] for line in logged if "guard" in line}
    assert list(alarms) == ["length", "duplicates", "readable", "pairs"]
    assert alarms["duplicates"] == "75% of the responses repeat another to their prompt"
    assert alarms["readable"] == "only 0% of the votes could be read"


def test_a_guard_that_is_to_stop_the_run_does_so_each_time_and_keeps_what_was_judged(
    new_round: Callable[..., Round],
) -> None:
    guards = RECIPE.guards.model_copy(update={"ties": RECIPE.guards.ties.model_copy(update={"action": "stop"})})
    recipe = RECIPE.model_copy(update={"guards": guards})
    for _ in range(2):
        with pytest.raises(StageFailed, match=r"^m2: 100% of the pairs of responses to a prompt are tied; "):
            self_rewarding(new_round(says_five, recipe))
    folder = new_round(says_five, recipe).folder
    assert len(store.read(folder / store.JUDGEMENTS_FILE, Judgement)) == 48
    assert not (folder / store.PAIRS_FILE).exists()


def test_responses_are_as_long_as_those_before_of_the_seed_at_first_of_the_round_before_after_it(
    new_round: Callable[..., Round], seeds: Seeds
) -> None:
    first = new_round()
    self_rewarding(first)
    assert first._chars_before() == pytest.approx(sum(len(e.response) for e in seeds.ift) / len(seeds.ift))
    texts = [r.text for line in store.read(first.folder / store.RESPONSES_FILE, Responses) for r in line.samples]
    assert new_round(k=3)._chars_before() == pytest.approx(sum(map(len, texts)) / len(texts))
