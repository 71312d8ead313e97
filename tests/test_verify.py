"""`verify`: any byte that changes in a finished run is found, ids lead to their records, and what is not covered is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from safetensors.numpy import save
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.databases.sqlite import write_sqlite
from selfreward.errors import BadInput
from selfreward.judges.grounded import hold_databases
from selfreward.judges.votes import make_judgement
from selfreward.pairing import best_vs_worst
from selfreward.recipe import Recipe, load_recipe
from selfreward.records import Example, Judgement, Passage, Prompt, RankedResponse, RankedSet, Response, Vote, digest
from selfreward.responses import Responses, ranked_responses
from selfreward.verifying import verify

NUM_PROMPTS, NUM_SAMPLES, NUM_VOTES = 6, 3, 2


def judged(responses: list[Response], judge: str) -> list[Judgement]:
    """Votes that differ from response to response."""
    return [
        make_judgement(one, [Vote(score=float(n % 6), fault=None, text=f"Score: {n % 6}")] * NUM_VOTES, judge)
        for n, one in enumerate(responses)
    ]


def sampled(prompts: list[Prompt], model: str, num: int) -> list[Responses]:
    return [
        Responses(
            id=prompt.id,
            samples=tuple(
                Response(
                    id=digest(model, prompt.id, i), prompt_id=prompt.id, prompt=prompt.text, text=f"answer {i} é",
                    model=model, sample=i, num_tokens=3, finished=True,
                )
                for i in range(num)
            ),
        )
        for prompt in prompts
    ]  # fmt: skip


def write_run(folder: Path, model: Path) -> None:
    """A finished run of one round, with files as a run writes them and models of no weights."""
    votes = {"votes": NUM_VOTES, "quorum": 1}
    recipe = Recipe.of(
        {"name": "x", "model": str(model), "rounds": 1, "responses": {"num_samples": NUM_SAMPLES}, "judge": votes}
    )
    ranked = [
        RankedSet(id=f"s{n}", prompt=f"rank {n}", responses=tuple(RankedResponse(text=t, rank=r) for r, t in enumerate("ab")))
        for n in range(4)
    ]  # fmt: skip
    with store.open_run(folder, recipe, ["selfreward", "run", "x"]) as run:
        seed = run.folder(store.SEED_FOLDER)
        ift = [Example(id=f"i{n}", prompt=f"ask {n}", response="r", source="ift") for n in range(3)]
        eft = [Example(id="e", prompt="judge", response="Score: 1", source="eft")]
        store.write_once(seed / store.IFT_FILE, ift)
        store.write_once(seed / store.RANKED_FILE, ranked[:2])
        store.write_once(seed / store.EVAL_SEED_FILE, ranked[2:])
        store.append(seed / store.EFT_JUDGEMENTS_FILE, judged(ranked_responses(ranked[:2]), "sft"))
        store.write_once(seed / store.EFT_FILE, eft)
        store.write_json(seed / store.COUNTS_FILE, {"eft": {"judgements_kept": 2, "judgements_thinned_out": 1}})
        prompts = [Prompt(id=f"p{n}", text=f"do {n}", source="m1") for n in range(NUM_PROMPTS)]
        lines = sampled(prompts, "m1", NUM_SAMPLES)
        judgements = judged([one for line in lines for one in line.samples], "m1")
        pairing = best_vs_worst(judgements)
        lessons = {"sft": ("sft", 0, 3, 0), "m1": ("sft", 0, 4, 0), "m2": ("dpo", 1, 0, len(pairing.pairs))}
        for name, (method, start, num_examples, num_pairs) in lessons.items():
            part = run.folder(name)
            if name == "m2":
                store.append(part / store.PROMPTS_FILE, prompts)
                store.append(part / store.RESPONSES_FILE, lines)
                store.append(part / store.JUDGEMENTS_FILE, judgements)
                store.write_once(part / store.PAIRS_FILE, pairing.pairs)
                num = len(judgements)
                counts = {
                    "prompts": {"accepted": NUM_PROMPTS}, "responses": {"responses": num}, "pairs": pairing.counts,
                    "votes": {"read": num * NUM_VOTES},
                    "judgements": {"judgements": num, "unscored": 0, "of_cut_responses": 0},
                }  # fmt: skip
                store.write_json(part / store.COUNTS_FILE, counts)
            lesson: dict[str, Any] = {"method": method, "start": start, "reference": start or None}
            store.write_json(part / store.LESSON_FILE, lesson | {"num_pairs": num_pairs, "num_examples": num_examples})
            with store.saving(part / store.MODEL_FOLDER) as unfinished:
                shutil.copytree(model, unfinished, dirs_exist_ok=True)
            store.append(part / store.EVAL_RESPONSES_FILE, sampled(prompts[:2], name, 1))
            evaluated = judged(ranked_responses(ranked[2:]), name)
            store.append(part / store.EVAL_JUDGEMENTS_FILE, evaluated)
            health = {"model": name, "judge_health": {"judgements": len(evaluated)}}
            store.write_json(part / store.EVAL_FILE, health)
            run.seal(name)
        run.seal(store.SEED_FOLDER)
        run.log(stage="m2 prompts", seconds=1.0, items=6)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(save({}))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


@pytest.fixture
def run(tmp_path: Path, model: Path) -> Path:
    folder = tmp_path / "run"
    write_run(folder, model)
    return folder


def test_nothing_is_wrong_with_a_run_as_it_was_made_and_every_file_is_covered(run: Path) -> None:
    found = verify(run)
    assert (found["problems"], found["notes"], found["not_covered"]) == ([], [], [])
    assert found["finished"] and found["torn_lines_cut"] == 0
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files - store.read_manifest(run).keys() == {store.MANIFEST_FILE, store.LOCK_FILE}
    assert found["files"] == len(files) - 2


def test_a_flipped_byte_anywhere_is_found(run: Path) -> None:
    """In every file: its first byte, its last and one between, changed in one bit or made a space."""
    rng = Random(0)
    for path in sorted(path for path in run.rglob("*") if path.is_file() and path.name != store.LOCK_FILE):
        content = path.read_bytes()
        for place in {0, len(content) - 1, rng.randrange(len(content) or 1)} if content else ():
            for byte in {content[place] ^ (1 << rng.randrange(8)), 0x20} - {content[place]}:
                path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
                try:
                    problems = verify(run)["problems"]
                except BadInput as error:  # the recipe, without which there is nothing to look for
                    problems = [str(error)]
                assert any(path.name in problem for problem in problems), (path, place, byte)
        path.write_bytes(content)
    assert verify(run)["problems"] == []


@pytest.mark.parametrize("cut", [1, 50])
def test_a_file_that_is_shorter_than_it_was_is_found(run: Path, cut: int) -> None:
    path = run / "m2" / store.JUDGEMENTS_FILE
    path.write_bytes(path.read_bytes()[:-cut])
    assert any("bytes and had" in problem for problem in verify(run)["problems"])


def unsealed(run: Path) -> None:
    """Takes the manifest's word away, so that only the records speak."""
    (run / store.MANIFEST_FILE).write_text("{}\n")


def without_first_line(path: Path) -> None:
    path.write_text(path.read_text().partition("\n")[2])


def first_line_twice(path: Path) -> None:
    text = path.read_text()
    path.write_text(text.partition("\n")[0] + "\n" + text)


def replaced(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("m2/prompts.jsonl", without_first_line, "responses.jsonl: 1 prompts that are not those of prompts.jsonl"),
        ("m2/responses.jsonl", without_first_line, "responses.jsonl: 1 records have no response, such as p0"),
        ("m2/responses.jsonl", replaced("answer 0", "ANSWER 0"), "1 judgements of no response that is there"),
        ("m2/responses.jsonl", replaced('"sample":1', '"sample":2'), "1 responses that are not m1's"),
        ("m2/judgements.jsonl", without_first_line, "judgements.jsonl: 1 records have no judgement"),
        ("m2/judgements.jsonl", first_line_twice, "stands twice"),
        (
            "m2/judgements.jsonl",
            replaced('"score":1.0,"coverage"', '"score":2.0,"coverage"'),
            "not that of their votes",
        ),
        ("m2/pairs.jsonl", replaced('"margin":2.0', '"margin":1.0'), "1 pairs whose scores are not those"),
        ("m2/pairs.jsonl", without_first_line, "num_pairs is stated as 6 and there are 5"),
        ("m2/counts.json", replaced('"read": 36', '"read": 35'), "votes/read is stated as 35 and there are 36"),
        ("m2/eval.json", replaced('"m2"', '"m1"'), "eval.json: is about m1"),
        ("m2/eval_judgements.jsonl", without_first_line, "1 records have no judgement"),
        ("m1/lesson.json", replaced('"num_examples": 4', '"num_examples": 3'), "stated as 3 and there are 4"),
        ("m2/lesson.json", replaced('"start": 1', '"start": 7'), "its start, m7, is not there"),
        ("seed/eft.jsonl", without_first_line, "eft is stated as 1 and there are 0"),
        ("m2/prompts.jsonl", replaced('"id"', '"it"'), "prompts.jsonl:1: not a Prompt"),
        ("m1/model/config.json", replaced("{}", "[]"), "config.json: not a JSON object"),
        ("stamp.json", replaced('"weights"', '"heights"'), "does not say what the weights of M0 were"),
    ],
)
def test_records_that_do_not_agree_are_named(run: Path, file: str, change: Callable[[Path], None], said: str) -> None:
    unsealed(run)
    assert verify(run)["problems"] == []
    change(run / file)
    assert [problem for problem in verify(run)["problems"] if said in problem], verify(run)["problems"]


def test_another_m0_is_found(run: Path, model: Path) -> None:
    import numpy as np

    (model / "model.safetensors").write_bytes(save({"a": np.zeros(1, np.float32)}))
    assert any("is not the M0" in problem for problem in verify(run)["problems"])


def test_a_run_that_is_not_finished_has_notes_and_no_problems(run: Path) -> None:
    for name in (store.EVAL_FILE, store.EVAL_JUDGEMENTS_FILE, store.LESSON_FILE, store.PAIRS_FILE, store.COUNTS_FILE):
        (run / "m2" / name).unlink()
    shutil.rmtree(run / "m2" / store.MODEL_FOLDER)
    path = run / "m2" / store.JUDGEMENTS_FILE
    path.write_text("\n".join(path.read_text().splitlines()[:7])[:-20])
    with store.open_run(run, store.RunFolder(run).recipe()):  # forgets what is gone
        pass
    manifest = json.loads((run / store.MANIFEST_FILE).read_text())
    del manifest["m2/judgements.jsonl"]
    store.write_json(run / store.MANIFEST_FILE, manifest)
    found = verify(run)
    assert found["problems"] == [] and not found["finished"]
    assert found["not_covered"] == ["m2/judgements.jsonl"]
    assert any("ends in a line that was being written" in note for note in found["notes"])
    assert any("not finished: m2" in note for note in found["notes"])


def test_a_file_that_was_made_again_is_recorded_again(run: Path) -> None:
    path = run / "m2" / store.PAIRS_FILE
    text = path.read_text()
    path.unlink()
    assert any("pairs.jsonl: is gone" in problem for problem in verify(run)["problems"])
    with store.open_run(run, store.RunFolder(run).recipe()) as opened:
        path.write_text(text.replace("answer", "ANSWER", 1))  # as long as it was
        opened.seal("m2/pairs.jsonl")
    assert not any("content" in problem for problem in verify(run)["problems"])


def test_what_is_recorded_is_not_blessed_when_it_has_changed(run: Path) -> None:
    path = run / "m2" / store.PAIRS_FILE
    path.write_text(path.read_text().replace("answer", "ANSWER", 1))
    with store.open_run(run, store.RunFolder(run).recipe()) as opened:
        opened.seal("m2/pairs.jsonl")
    assert any("pairs.jsonl: its content is not what it was" in problem for problem in verify(run)["problems"])


def test_the_command_says_it_in_words_and_ends_with_3(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(run)])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "nothing is wrong")
    without_first_line(run / "m2" / store.JUDGEMENTS_FILE)
    (run / "notes.txt").touch()
    done = CliRunner().invoke(app, ["verify", str(run)])
    assert done.exit_code == 3
    assert "WRONG: " in done.stdout and "1 files: notes.txt" in done.stdout
    (run / "m2" / store.JUDGEMENTS_FILE).write_text('{"id": "\\u001b[31mred"}\n')
    assert "\x1b" not in CliRunner().invoke(app, ["verify", str(run)]).stdout
    done = CliRunner().invoke(app, ["verify", str(run), "--json"])
    assert done.exit_code == 3 and json.loads(done.stdout)["problems"]
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "none")]).exit_code == 2


def ground(run: Path, database: str) -> None:
    """Makes the recipe of a run one of a grounded judge that was shown one passage at most."""
    recipe = (run / "recipe.yaml").read_text()
    recipe = recipe.replace("  name: llm\n", "  name: grounded\n").replace("database: null", f"database: {database}")
    (run / "recipe.yaml").write_text(recipe.replace("passages: 3", "passages: 1"))


def show(run: Path, num: int) -> None:
    """Gives the first judgement of a round `num` passages."""
    file = run / "m2" / store.JUDGEMENTS_FILE
    first, *rest = store.read(file, Judgement)
    evidence = tuple(Passage(id=f"f:{n}", text="A fact.") for n in range(num))
    file.unlink()
    store.append(file, [first.model_copy(update={"evidence": evidence}), *rest])


def test_evidence_that_the_recipes_judge_is_not_shown_is_found_and_it_is_counted(run: Path) -> None:
    unsealed(run)
    show(run, 1)
    assert any(
        "1 judgements with more evidence than the recipe's judge is shown" in one for one in verify(run)["problems"]
    )
    ground(run, "micro")
    assert any("judgements/with_evidence is stated as 0 and there are 1" in one for one in verify(run)["problems"])
    counts = run / "m2" / store.COUNTS_FILE
    found = store.read_json(counts)
    store.write_json(counts, {**found, "judgements": {**found["judgements"], "with_evidence": 1}})
    assert not any("evidence" in one for one in verify(run)["problems"])
    show(run, 2)
    assert any("more evidence" in one for one in verify(run)["problems"])


def test_a_database_that_holds_other_passages_is_a_fault_and_one_that_is_gone_a_note(run: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.db"
    write_sqlite(facts, [Passage(id="f:1", text="A fact.")])
    ground(run, str(facts))
    hold_databases([load_recipe(run).judge], run)
    assert not any(str(facts) in said for said in verify(run)["problems"] + verify(run)["notes"])
    facts.unlink()
    assert any("cannot be compared" in note and "no such database" in note for note in verify(run)["notes"])
    write_sqlite(facts, [Passage(id="f:1", text="Another fact.")])
    assert any("does not hold the passages that the judge was shown" in said for said in verify(run)["problems"])
