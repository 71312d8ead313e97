"""The loop: every model from M0 to M3, what a run leaves behind, and runs that are killed, stopped or run again."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from support_runs import SMALL, Runs

from selfreward import store
from selfreward.asking import answer, judge_one
from selfreward.databases.sqlite import write_sqlite
from selfreward.errors import BadInput
from selfreward.loop import check, check_engines, run
from selfreward.progress import QuietProgress
from selfreward.prompts import Attempt
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Example, Judgement, Pair, Passage, Prompt, RankedSet, Record
from selfreward.responses import Responses
from selfreward.verifying import verify

ROOT = Path(__file__).parents[1]
MODELS = ("sft", "m1", "m2", "m3")
KINDS: dict[str, type[Record]] = {
    store.IFT_FILE: Example, store.EFT_FILE: Example, store.RANKED_FILE: RankedSet, store.EVAL_SEED_FILE: RankedSet,
    store.ATTEMPTS_FILE: Attempt, store.PROMPTS_FILE: Prompt, store.RESPONSES_FILE: Responses, store.PAIRS_FILE: Pair,
    store.JUDGEMENTS_FILE: Judgement, store.EVAL_RESPONSES_FILE: Responses, store.EVAL_JUDGEMENTS_FILE: Judgement,
    store.EFT_JUDGEMENTS_FILE: Judgement,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    server = Runs(tmp_path_factory.mktemp("runs") / "errors.txt")
    yield server
    server.close()


@pytest.fixture(scope="module")
def overrides(tiny_m0: Path) -> list[str]:
    settings = {**SMALL, "model": tiny_m0}
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


class Straight:
    """A run from the beginning to the end."""

    def __init__(self, runs: Runs, overrides: list[str], where: Path) -> None:
        self.folder, self.openings = where / "run", where / "openings"
        self.status, self.changes = runs.run(
            "run", "micro-fast", "--to", str(self.folder), *overrides, SELFREWARD_TEST_OPENINGS=str(self.openings)
        )


@pytest.fixture(scope="module")
def straight(runs: Runs, overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Straight:
    run = Straight(runs, overrides, tmp_path_factory.mktemp("straight"))
    assert run.status == 0, runs.errors.read_text()
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but those that tell of its launches and of the time."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    launches = (store.LOGS_FOLDER, store.METRICS_FILE, store.STAMP_FILE, store.LOCK_FILE, store.MANIFEST_FILE)
    of_time = (*launches, store.REPORT_FILE)
    return {name: data for name, data in sorted(found.items()) if not name.startswith(of_time)}


def normal(text: str) -> str:
    return " ".join(text.lower().split())


def test_a_run_makes_and_measures_every_model(straight: Straight, runs: Runs) -> None:
    run = store.RunFolder(straight.folder)
    assert run.models() == ["m0", *MODELS]
    for name in MODELS:
        measured = store.read_json(straight.folder / name / store.EVAL_FILE)
        assert measured["model"] == name
        assert measured["capability"]["score"]["n"] == 5
        assert {"human", "oracle"} == set(measured["reward_modelling"])
    assert set(store.read_json(straight.folder / "m3" / store.EVAL_FILE)["head_to_head"]) == {"sft", "m1", "m2"}
    assert "Head to head" in runs.errors.read_text()  # the tables, which the command prints at the end


def test_a_run_writes_its_report_after_the_last_measurement(straight: Straight) -> None:
    report, measured = (straight.folder / name for name in (store.REPORT_FILE, f"m3/{store.EVAL_FILE}"))
    assert report.stat().st_mtime_ns >= measured.stat().st_mtime_ns
    assert "M3 v SFT" in report.read_text()


def test_f28_each_model_is_loaded_once_to_work(straight: Straight) -> None:
    """To be measured, to write and judge the next round's data, and to write the EFT seed."""
    openings = [Path(line) for line in straight.openings.read_text().splitlines()]
    assert openings == [straight.folder / name / "model" for name in MODELS]


def test_f25_start_and_reference_of_every_model_are_recorded(straight: Straight) -> None:
    lessons = {name: store.read_json(straight.folder / name / store.LESSON_FILE) for name in MODELS}
    assert {name: (lesson["method"], lesson["start"], lesson["reference"]) for name, lesson in lessons.items()} == {
        "sft": ("sft", 0, None),
        "m1": ("sft", 0, None),
        "m2": ("dpo", 1, 1),
        "m3": ("dpo", 2, 2),
    }
    assert lessons["sft"]["num_examples"] == 24
    eft = store.read(straight.folder / "seed" / store.EFT_FILE, Example)
    assert lessons["m1"]["num_examples"] == 24 + len(eft) > 24
    assert lessons["m2"]["num_pairs"] == len(store.read(straight.folder / "m2" / store.PAIRS_FILE, Pair)) > 0


def test_f06_every_model_differs_from_the_one_before(straight: Straight, tiny_m0: Path) -> None:
    folders = [tiny_m0, *(straight.folder / name / "model" for name in MODELS)]
    assert len({(folder / "model.safetensors").read_bytes() for folder in folders}) == 5


def test_f22_nothing_a_model_is_measured_on_was_trained_on(straight: Straight) -> None:
    """Prompts of the head to head and of reward modelling against every prompt of every lesson, by normalised text."""
    seed = straight.folder / "seed"
    measured = {normal(one.prompt) for one in store.read(seed / store.EVAL_SEED_FILE, RankedSet)}
    for name in MODELS:
        for line in store.read(straight.folder / name / store.EVAL_RESPONSES_FILE, Responses):
            measured |= {normal(response.prompt) for response in line.samples}
    assert len(measured) >= 5
    trained_on = [
        example.prompt for name in (store.IFT_FILE, store.EFT_FILE) for example in store.read(seed / name, Example)
    ]
    trained_on += [
        pair.prompt for name in ("m2", "m3") for pair in store.read(straight.folder / name / store.PAIRS_FILE, Pair)
    ]
    assert [text for text in measured if any(text in normal(prompt) for prompt in trained_on)] == []


def test_every_model_answers_the_same_prompts(straight: Straight) -> None:
    asked = [
        [line.id for line in store.read(straight.folder / name / store.EVAL_RESPONSES_FILE, Responses)]
        for name in MODELS
    ]
    assert asked == [asked[0]] * 4


def test_f16_f27_every_file_holds_lines_of_one_record(straight: Straight) -> None:
    files = [path for path in straight.folder.rglob("*.jsonl") if path.name != store.METRICS_FILE]
    assert {path.name for path in files} == KINDS.keys()
    for path in files:
        records = store.read(path, KINDS[path.name])
        assert len({json.loads(line)["id"] for line in path.read_text().splitlines()}) == len(records) > 0


def test_a_run_says_what_it_was_made_with(straight: Straight) -> None:
    stamp = store.read_json(straight.folder / store.STAMP_FILE)
    assert stamp["command"].startswith("selfreward run micro-fast --to")
    assert {"torch", "trl", "selfreward", "python"} <= set(stamp["versions"])
    assert list(stamp["weights"]) == ["model.safetensors"]
    assert load_recipe(straight.folder).prompts.num == 9
    stages = {line["stage"] for line in store.read_rows(straight.folder / store.METRICS_FILE) if "stage" in line}
    assert {"train sft", "train m3", "m2 prompts", "m3 judgements", "seed eft_judgements"} <= stages


def test_killed_again_and_again_a_run_ends_in_the_same_files_bit_for_bit(
    straight: Straight, runs: Runs, overrides: list[str], tmp_path: Path
) -> None:
    folder, rng, killed = tmp_path / "run", Random(0), 0
    first = ("run", "micro-fast", "--to", str(folder), *overrides)
    status, _ = runs.run(*first, kill_at=rng.randint(8, straight.changes // 8))
    while status == -signal.SIGKILL:
        killed += 1
        assert killed < 50
        # Further from launch to launch, so that one which is killed early in a training is followed by one that is not.
        status, _ = runs.run("run", str(folder), kill_at=rng.randint(1, straight.changes * (1 + killed) // 8))
    assert status == 0, runs.errors.read_text()
    assert killed >= 4
    assert contents(folder) == contents(straight.folder)
    found = verify(folder)
    assert (found["problems"], found["not_covered"]) == ([], [])
    assert len(list((folder / store.LOGS_FOLDER).glob("attempt_*"))) >= killed


STOPPING = {
    "rounds": 1, "dpo.epochs": 4, "training.early_stopping.every": 2, "training.early_stopping.prompts": 6,
    "training.early_stopping.patience": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def stopped(runs: Runs, overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Straight:
    """A run whose training is stopped early."""
    more = [word for key, value in STOPPING.items() for word in ("--set", f"{key}={value}")]
    run = Straight(runs, [*overrides, *more], tmp_path_factory.mktemp("stopped"))
    assert run.status == 0, runs.errors.read_text()
    return run


def test_a_training_that_is_stopped_early_leaves_the_snapshot_that_was_chosen_and_why(
    stopped: Straight, runs: Runs
) -> None:
    folder = stopped.folder / "m2"
    story = store.read_json(folder / store.EARLY_STOPPING_FILE)
    assert story["by"] == "scores" and story["judge"] == "m1" and story["chosen"] in story["steps"]
    assert story["steps"][:2] == [2, 4] and len(story["steps"]) >= 3
    assert not (folder / store.SNAPSHOTS_FOLDER).exists()
    assert sorted(path.name for path in (stopped.folder / "sft").iterdir() if path.is_dir()) == ["model"]
    found = verify(stopped.folder)
    assert (found["problems"], found["notes"], found["not_covered"]) == ([], [], [])
    assert "Early stopping" in runs.errors.read_text()


def test_f22_a_training_is_stopped_by_prompts_that_nothing_was_trained_or_measured_on(stopped: Straight) -> None:
    validation = {
        normal(one.prompt) for one in store.read(stopped.folder / "seed" / store.VALIDATION_SEED_FILE, RankedSet)
    }
    assert len(validation) == 6
    asked = store.read(stopped.folder / "m2" / store.VALIDATION_RESPONSES_FILE, Responses)
    assert {normal(response.prompt) for line in asked for response in line.samples} == validation
    others = []
    for path in stopped.folder.rglob("*.jsonl"):
        if not path.name.startswith("validation") and path.name != store.METRICS_FILE:
            others += [normal(line) for line in path.read_text().splitlines()]
    assert [prompt for prompt in validation if any(prompt in line for line in others)] == []


def test_killed_again_and_again_while_it_is_stopped_a_training_ends_in_the_same_files(
    stopped: Straight, runs: Runs, tmp_path: Path
) -> None:
    folder, rng, killed = shutil.copytree(stopped.folder, tmp_path / "run"), Random(1), 0
    for path in (*folder.glob("m2/eval*"), *folder.glob("m2/*alidation*"), folder / "m2" / store.EARLY_STOPPING_FILE):
        path.unlink()
    shutil.rmtree(folder / "m2" / "model")
    whole = shutil.copytree(folder, tmp_path / "whole")
    status, changes = runs.run("run", str(whole))
    assert (status, contents(whole)) == (0, contents(stopped.folder))
    status = -signal.SIGKILL
    while status == -signal.SIGKILL:
        status, _ = runs.run(
            "run", str(folder), kill_at=rng.randint(changes // 3, changes // 3 + changes * (1 + killed) // 8)
        )
        killed += 1
        assert killed < 20
    assert status == 0 and killed >= 4, runs.errors.read_text()
    assert contents(folder) == contents(stopped.folder)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (store.EARLY_STOPPING_FILE, lambda text: text.replace('prompts": 6,', 'prompts": 5,'), "num_prompts is stated as 5"),
        (store.EARLY_STOPPING_FILE, lambda text: re.sub('"chosen": [0-9]+', '"chosen": 3', text), "step 3 is not the last"),
        (store.VALIDATION_JUDGEMENTS_FILE, lambda text: text.partition("\n")[2], "1 records have no judgement"),
        (store.VALIDATION_RESPONSES_FILE, lambda text: text.partition("\n")[2], "judgements of no response that is there"),
    ],
)  # fmt: skip
def test_what_a_training_was_stopped_by_is_verified(
    stopped: Straight, tmp_path: Path, file: str, change: Callable[[str], str], said: str
) -> None:
    folder = shutil.copytree(stopped.folder, tmp_path / "run")
    path = folder / "m2" / file
    path.write_text(change(path.read_text()))
    assert any(said in problem for problem in verify(folder)["problems"])


def test_every_file_of_a_run_is_covered_by_its_manifest_and_nothing_is_wrong(straight: Straight) -> None:
    found = verify(straight.folder)
    assert (found["problems"], found["notes"], found["not_covered"]) == ([], [], [])
    assert found["files"] > 40


def test_a_finished_run_run_again_does_nothing(straight: Straight, runs: Runs, tmp_path: Path) -> None:
    folder = shutil.copytree(straight.folder, tmp_path / "run")
    openings = tmp_path / "openings"
    status, _ = runs.run("run", str(folder), SELFREWARD_TEST_OPENINGS=str(openings))
    assert status == 0
    assert not openings.exists()
    for name in (store.METRICS_FILE, store.STAMP_FILE):
        assert (folder / name).read_bytes() == (straight.folder / name).read_bytes()
    assert contents(folder) == contents(straight.folder)


@pytest.fixture
def before_the_first_question(straight: Straight, tmp_path: Path) -> Path:
    """A run that has trained the SFT baseline and is about to measure it."""
    folder = shutil.copytree(straight.folder, tmp_path / "run")
    for name in ("m1", "m2", "m3", "logs"):
        shutil.rmtree(folder / name)
    for path in folder.glob("sft/eval*"):
        path.unlink()
    return folder


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_run_says_how_to_go_on_and_a_second_process_is_refused(
    signum: signal.Signals, before_the_first_question: Path, straight: Straight, runs: Runs, tmp_path: Path
) -> None:
    folder, marker = before_the_first_question, tmp_path / "asked"
    command = [sys.executable, "-m", "selfreward.cli", "run", str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
    first = subprocess.Popen(
        command, env={**environment, "SELFREWARD_TEST_WAIT": str(marker)}, stderr=subprocess.PIPE, text=True,
        # a shell that starts the tests in the background would have them, and so this process, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        while not marker.exists():
            assert first.poll() is None
            time.sleep(0.05)
        if signum == signal.SIGTERM:
            second = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert (second.returncode, second.stdout) == (2, "")
            assert f"process {first.pid} is running in this folder" in second.stderr
        first.send_signal(signum)
        _, said = first.communicate(timeout=60)
    finally:
        first.kill()
    assert first.returncode == 130
    assert said.splitlines()[-1] == f"interrupted; continue with: selfreward run {folder}"
    if signum == signal.SIGINT:
        assert runs.run("run", str(folder))[0] == 0
        assert contents(folder) == contents(straight.folder)


def test_another_recipe_is_refused_in_the_same_folder(straight: Straight, runs: Runs, overrides: list[str]) -> None:
    before = contents(straight.folder)
    status, _ = runs.run("run", "micro-fast", "--to", str(straight.folder), *overrides, "--set", "dpo.beta=0.2")
    assert status == 2
    assert "dpo.beta: 0.1 there, 0.2 given" in runs.errors.read_text()
    assert contents(straight.folder) == before


def test_seeds_that_cannot_be_used_leave_no_run_behind(runs: Runs, overrides: list[str], tmp_path: Path) -> None:
    data, folder = tmp_path / "data.jsonl", tmp_path / "run"
    data.write_text('{"prompt": "x"}\n')
    source = ("--set", f"seeds.source={data}")
    assert runs.run("run", "micro-fast", "--to", str(folder), *overrides, *source)[0] == 2
    assert "the columns prompt are of no known form" in runs.errors.read_text()
    assert not folder.exists()


def test_a_seed_of_judgements_that_comes_out_empty_ends_the_run_with_its_counts(
    runs: Runs, overrides: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert runs.run("run", "micro-fast", "--to", str(folder), *overrides, "--set", "eft.min_words=999")[0] == 3
    assert "of 20 ranked sets not one became a judgement to learn from" in runs.errors.read_text()
    counts = store.read_json(folder / "seed" / store.COUNTS_FILE)["eft"]
    assert counts["votes_without_reasons"] + counts["votes_unreadable"] == counts["votes"] > 0


def test_a_run_on_peoples_data_goes_to_its_end_and_is_measured_against_people(
    straight: Straight, runs: Runs, overrides: list[str], tmp_path: Path
) -> None:
    """The data are another run's seeds; that they are of the micro-world is not known to this run."""
    seed, folder = straight.folder / store.SEED_FOLDER, tmp_path / "run"
    changes = (f"seeds.source={seed}", "rounds=1")
    settings = [word for change in changes for word in ("--set", change)]
    assert runs.run("run", "micro-fast", "--to", str(folder), *overrides, *settings)[0] == 0, runs.errors.read_text()
    for name in ("sft", "m1", "m2"):
        measured = store.read_json(folder / name / store.EVAL_FILE)
        assert set(measured["reward_modelling"]) == {"human"} and "capability" not in measured
        answered = store.read(folder / name / store.EVAL_RESPONSES_FILE, Responses)
        held_out = store.read(folder / "seed" / store.EVAL_SEED_FILE, RankedSet)
        assert [line.samples[0].prompt for line in answered] == [one.prompt for one in held_out]
    for file, kind in ((store.IFT_FILE, Example), (store.RANKED_FILE, RankedSet), (store.EVAL_SEED_FILE, RankedSet)):
        ours, theirs = ({one.prompt for one in store.read(s / file, kind)} for s in (folder / "seed", seed))
        assert ours == theirs
    counts = store.read_json(folder / "seed" / store.COUNTS_FILE)
    assert counts["ift"] == {"rows": 24, "used": 24}
    assert list(counts) == ["ift", "ranked", "evaluation", "eft"]


def test_a_run_whose_judge_looks_facts_up_keeps_what_it_was_shown(
    runs: Runs, overrides: list[str], tmp_path: Path
) -> None:
    folder, facts = tmp_path / "run", tmp_path / "facts.db"
    write_sqlite(facts, [Passage(id="a:1", text="The trade of towns is the same in all.")])
    judge = {"name": "grounded", "template": "micro_grounded", "database": facts, "passages": 1}
    settings = [word for key, value in judge.items() for word in ("--set", f"judge.{key}={value}")]
    asked = ("run", "micro-fast", "--to", str(folder), *overrides, "--set", "rounds=1", *settings)
    assert runs.run(*asked, "--set", "judge.database=micro")[0] == 0, runs.errors.read_text()
    assert list(store.read_json(folder / store.DATABASES_FILE)) == ["micro"]
    shown = {}
    for file in (folder / "seed" / store.EFT_JUDGEMENTS_FILE, folder / "m2" / store.JUDGEMENTS_FILE):
        shown[file.name] = [one for one in store.read(file, Judgement) if one.evidence]
    assert shown[store.EFT_JUDGEMENTS_FILE]
    prompts = [example.prompt for example in store.read(folder / "seed" / store.EFT_FILE, Example)]
    assert any("\nEvidence: The " in prompt for prompt in prompts)
    assert (verify(folder)["problems"], verify(folder)["not_covered"]) == ([], [])
    judgement = judge_one(folder / "m2", "What is the trade of Baelmara?", "The trade of Baelmara is king.", votes=2)
    assert [one.id for one in judgement.evidence] == ["almanac: Baelmara, trade"]

    other = tmp_path / "other"
    assert runs.run(*asked[:3], str(other), *asked[4:])[0] == 0, runs.errors.read_text()
    facts.unlink()
    assert runs.run("run", str(other))[0] == 0  # it is finished and asks no judge
    (other / "m2" / store.EVAL_FILE).unlink()
    assert runs.run("run", str(other))[0] == 2
    write_sqlite(facts, [Passage(id="a:1", text="All towns have other trades.")])
    assert runs.run("run", str(other))[0] == 2
    assert "holds other passages than when this run began" in runs.errors.read_text()


def test_the_models_of_a_run_judge_and_answer(straight: Straight) -> None:
    judgement = judge_one(straight.folder / "m2", "Name some animals.", "List: fox, cat.", votes=4)
    assert (judgement.judge, len(judgement.votes)) == ("m2", 4)
    assert judgement == judge_one(straight.folder / "m2", "Name some animals.", "List: fox, cat.", votes=4)
    assert answer(straight.folder / "m3", "Name some animals.").startswith("List: ")
    with pytest.raises(BadInput, match="no model 'm4' in this run"):
        answer(straight.folder / "m4", "Name some animals.")


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("engine", {"name": "locl"}, r"engine\.name.*did you mean local"),
        ("judge", {"name": "no_such_module:f"}, r"judge\.name: cannot import"),
        ("judge", {"template": "mico"}, r"did you mean micro"),
        ("prompts", {"template": "missing.jinja"}, r"missing\.jinja"),
    ],
)
def test_what_a_recipe_names_is_looked_up_before_anything_is_made(
    section: str, values: dict[str, str], said: str
) -> None:
    recipe = load_recipe("micro-fast")
    with pytest.raises(BadInput, match=said):
        check(recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=values)}))


def test_a_judges_server_is_looked_for_before_hours_of_training_and_not_once_it_is_needed_no_more(
    tmp_path: Path,
) -> None:
    judge = {"engine": {"name": "server", "server": {"url": "http://127.0.0.1:9/v1", "model": "big"}}}
    recipe = Recipe.of({"name": "x", "judge": judge})
    with pytest.raises(BadInput, match=r"127\.0\.0\.1:9/v1: does not answer"):
        run(recipe, tmp_path / "run", QuietProgress())
    assert not (tmp_path / "run").exists()
    last = tmp_path / "run" / "m3"
    last.mkdir(parents=True)
    store.write_json(last / store.LESSON_FILE, {})
    check_engines(recipe, tmp_path / "run")
