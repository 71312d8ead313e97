"""Records of a run as other trainers read them, and whole, as Parquet."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from selfreward import store
from selfreward.cli import app
from selfreward.export import FORMATS, export_data
from selfreward.export.parquet import write_parquet
from selfreward.judges.shown import judge_prompt
from selfreward.judges.votes import make_judgement
from selfreward.recipe import Recipe, to_yaml
from selfreward.records import Example, Judgement, Pair, Record, Response, Vote
from selfreward.responses import Responses

CLI = CliRunner()
ASKED = Response(
    id="r", prompt_id="p", prompt="Name a fox.", text="Reynard.", model="m1", sample=0, num_tokens=3, finished=True
)


def pair(number: int, **changes: Any) -> Pair:
    return Pair.model_validate({
        "id": f"pair{number}", "prompt_id": f"p{number}", "prompt": f"Count to {number}.", "chosen_id": "c", "chosen": "1\n2",
        "chosen_score": 4.5, "rejected_id": "r", "rejected": "No \u2028 \ud83e.", "rejected_score": 1, "margin": 3.5, **changes,
    })  # fmt: skip


def vote(score: float | None, text: str, fault: str | None = None) -> Vote:
    return Vote.model_validate({"score": score, "fault": fault, "text": text})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three rounds, of which the last has not begun."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(to_yaml(Recipe(name="mine", rounds=3)))
    store.write_json(folder / "stamp.json", {"command": "selfreward run mine"})
    example = Example(id="e", prompt="Say hello.", response="Hello.", source="ift")
    store.append(folder / "seed" / "ift.jsonl", [example])
    store.append(folder / "seed" / "eft.jsonl", [example.model_copy(update={"source": "eft"})])
    votes = [vote(4, "Good. Score: 4"), vote(None, "hm", "unreadable"), vote(3.3, "")]
    for k in (2, 3):
        store.append(folder / f"m{k}" / "pairs.jsonl", [pair(k), pair(k + 10)])
        store.append(folder / f"m{k}" / "judgements.jsonl", [make_judgement(ASKED, votes, f"m{k - 1}", 1, 2)])
    return folder


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]


def loaded(*path: object) -> Any:
    from datasets import load_dataset

    return load_dataset(*map(str, path), split="train")


def test_a_run_gives_a_file_for_each_round_and_a_model_that_of_its_own_round(run: Path, tmp_path: Path) -> None:
    result = CLI.invoke(app, ["export", str(run), str(tmp_path / "all"), "--what", "pairs"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [f"{tmp_path / 'all' / f'pairs-m{k}.jsonl'}: 2 rows" for k in (2, 3)]
    CLI.invoke(app, ["export", str(run / "m3"), str(tmp_path / "one"), "--what", "pairs"])
    assert {file.name for file in (tmp_path / "one").iterdir()} == {"pairs-m3.jsonl", "README.md"}
    assert rows(tmp_path / "one" / "pairs-m3.jsonl") == rows(tmp_path / "all" / "pairs-m3.jsonl")


def test_what_is_in_the_files_of_each_trainer(run: Path, tmp_path: Path) -> None:
    found = {}
    for name in FORMATS:
        export_data(run, tmp_path / name, ["pairs", "sft"], name)
        found[name] = rows(tmp_path / name / "pairs-m2.jsonl")[0], rows(tmp_path / name / "eft.jsonl")[0]
    user, rejected = {"role": "user", "content": "Count to 2."}, "No \u2028 \ufffd."
    good, bad = {"role": "assistant", "content": "1\n2"}, {"role": "assistant", "content": rejected}
    asked, said = {"role": "user", "content": "Say hello."}, {"role": "assistant", "content": "Hello."}
    assert found == {
        "trl": (
            {"prompt": [user], "chosen": [good], "rejected": [bad]},
            {"prompt": [asked], "completion": [said]},
        ),
        "llama-factory": (
            {"instruction": "Count to 2.", "input": "", "chosen": "1\n2", "rejected": rejected},
            {"instruction": "Say hello.", "input": "", "output": "Hello."},
        ),
        "axolotl": ({"messages": [user], "chosen": good, "rejected": bad}, {"messages": [asked, said]}),
    }


def test_a_judgement_is_an_example_for_each_vote_in_words_and_the_others_are_counted(run: Path, tmp_path: Path) -> None:
    result = CLI.invoke(app, ["export", str(run / "m2"), str(tmp_path / "out"), "--what", "judgements"])
    assert result.exit_code == 0, result.stderr
    (row,) = rows(tmp_path / "out" / "judgements-m2.jsonl")
    prompt = judge_prompt(Recipe(name="mine").judge.template, "Name a fox.", "Reynard.", cut=2)
    assert row["prompt"] == [{"role": "user", "content": prompt}]
    assert row["completion"] == [{"role": "assistant", "content": "Good. Score: 4"}]
    notes = [
        "judgements-m2.jsonl: 1 votes left out: unreadable",
        "judgements-m2.jsonl: 1 votes left out: points that were read from probabilities, without words",
    ]
    assert result.stderr.splitlines() == notes
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(note in card for note in notes)


def test_judgements_of_ones_own_judge_go_whole_or_not_at_all(run: Path, tmp_path: Path) -> None:
    recipe = Recipe.of({"name": "mine", "rounds": 3, "judge": {"name": "examples.judge:brief"}})
    (run / "recipe.yaml").write_text(to_yaml(recipe))
    result = CLI.invoke(app, ["export", str(run / "m2"), str(tmp_path / "out"), "--what", "judgements"])
    assert (result.exit_code, "--format parquet" in result.stderr) == (2, True)
    assert export_data(run / "m2", tmp_path / "out", ["judgements"], "parquet").rows == {"judgements-m2.parquet": 1}


def test_pairs_that_are_cut_after_a_step_are_told(run: Path, tmp_path: Path) -> None:
    store.append(run / "m2" / "pairs.jsonl", [pair(7, whole=False)])
    exported = export_data(run / "m2", tmp_path / "out", ["pairs"], "trl")
    assert exported.rows == {"pairs-m2.jsonl": 3}
    (note,) = exported.notes
    assert note.startswith("pairs-m2.jsonl: 1 pairs whose responses are cut after a step")


def test_the_index_of_llama_factory_names_files_that_are_there_and_columns_that_every_row_has(
    run: Path, tmp_path: Path
) -> None:
    export_data(run, tmp_path / "out", ["pairs", "sft"], "llama-factory")
    index = store.read_json(tmp_path / "out" / "dataset_info.json")
    assert list(index) == ["pairs-m2", "pairs-m3", "ift", "eft"]
    for name, entry in index.items():
        assert entry.keys() <= {"file_name", "ranking", "columns"}
        assert entry.get("ranking", False) == name.startswith("pairs")
        for row in rows(tmp_path / "out" / entry["file_name"]):
            assert set(entry["columns"].values()) == row.keys()


def test_the_part_of_axolotls_configuration_names_files_and_fields_that_are_there(run: Path, tmp_path: Path) -> None:
    export_data(run, tmp_path / "out", ["pairs"], "axolotl")
    config = yaml.safe_load((tmp_path / "out" / "axolotl.yaml").read_text())
    assert config["rl"] == "dpo"
    for dataset in config["datasets"]:
        fields = [dataset[f"field_{name}"] for name in ("messages", "chosen", "rejected")]
        assert all(row.keys() == set(fields) for row in rows(tmp_path / "out" / dataset["path"]))
        assert (dataset["type"], dataset["ds_type"]) == ("chat_template.default", "json")
    export_data(run, tmp_path / "seeds", ["eft"], "axolotl")
    config = yaml.safe_load((tmp_path / "seeds" / "axolotl.yaml").read_text())
    assert "rl" not in config
    assert [dataset["type"] for dataset in config["datasets"]] == ["chat_template"]


@pytest.mark.parametrize("form", [*FORMATS, "parquet"])
def test_datasets_loads_every_file_by_the_name_in_the_card(form: str, run: Path, tmp_path: Path) -> None:
    export_data(run, tmp_path / "out", ["pairs", "sft"], form)
    assert [len(loaded(tmp_path / "out", name)) for name in ("pairs-m2", "pairs-m3", "ift", "eft")] == [2, 2, 1, 1]


def test_trl_trains_on_what_was_exported(micro_fast: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    run = micro_fast / "runs" / "micro-fast"
    folder = str(run / "m1" / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    settings = {"output_dir": str(tmp_path / "trained"), "max_steps": 1, "per_device_train_batch_size": 4, "use_cpu": True,
                "bf16": False, "report_to": "none", "save_strategy": "no"}  # fmt: skip
    for what, file in (("pairs", "pairs-m2"), ("judgements", "judgements-m2"), ("sft", "ift")):
        export_data(run, tmp_path / what, [what], "trl")
        data = loaded(tmp_path / what, file)
        model = AutoModelForCausalLM.from_pretrained(folder)
        if what == "pairs":
            trainer: Any = DPOTrainer(model, args=DPOConfig(**settings), train_dataset=data, processing_class=tokenizer)
            assert trainer.train().training_loss == pytest.approx(0.6931, abs=1e-3)
        else:
            trainer = SFTTrainer(model, args=SFTConfig(**settings), train_dataset=data, processing_class=tokenizer)
            assert 0 < trainer.train().training_loss < 5  # of M1 on what it was taught, and said


def parquet_rows(file: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    found: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return found


def test_parquet_holds_whole_records(micro_fast: Path, tmp_path: Path) -> None:
    run = micro_fast / "runs" / "micro-fast"
    export_data(run, tmp_path / "out", ["pairs", "judgements"], "parquet")
    kinds: Sequence[tuple[str, type[Record]]] = (("pairs", Pair), ("judgements", Judgement))
    for name, record_type in kinds:
        found = [record_type.model_validate(row) for row in parquet_rows(tmp_path / "out" / f"{name}-m2.parquet")]
        assert found == store.read(run / "m2" / f"{name}.jsonl", record_type)


def test_the_columns_of_parquet_do_not_depend_on_the_values(tmp_path: Path) -> None:
    from pyarrow import parquet

    read = make_judgement(ASKED, [Vote(score=2.5, fault=None, text="x", probs=(0.5, 0.5))], "m1")
    unread = make_judgement(ASKED, [vote(None, "\ud800", "refused")], "m1")
    for name, some in (("read", [read]), ("unread", [unread]), ("none", [])):
        assert write_parquet(tmp_path / name, Judgement, some) == len(some)
    schemas = [parquet.read_schema(tmp_path / name) for name in ("read", "unread", "none")]
    assert schemas[0] == schemas[1] == schemas[2]
    (row,) = parquet_rows(tmp_path / "unread")
    assert row["votes"] == [{"score": None, "fault": "refused", "text": "\ufffd", "probs": None}]
    write_parquet(tmp_path / "nested", Responses, [Responses(id="p", samples=(ASKED,))])
    assert Responses.model_validate(parquet_rows(tmp_path / "nested")[0]).samples == (ASKED,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["RUN/m4", "--what", "pairs"], "RUN/m4: has no pairs; the files of its rounds say what it has"),
        (["RUN/m1", "--what", "pairs"], "RUN/m1: is not made by a round; give the run, or of its models m2, m3, m4"),
        (["RUN/m2", "--what", "sft"], "--what sft: the seeds are those of the whole run; give RUN"),
        (["RUN/m2", "--what", "pairs", "--format", "tlr"], "--format: no such format: 'tlr'; did you mean trl?"),
        (["RUN/m2", "--format", "trl"], "--format: has no effect on a model"),
        (["RUN/none", "--what", "pairs"], "RUN/none: is not made by a round"),
        (["none", "--what", "pairs"], "none: no such run"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    run: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    source, *options = [argument.replace("RUN", str(run)) for argument in arguments]
    result = CLI.invoke(app, ["export", source, str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert f"error: {said.replace('RUN', str(run))}" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_not_written_into(run: Path) -> None:
    result = CLI.invoke(app, ["export", str(run), str(run), "--what", "pairs"])
    assert (result.exit_code, "is there already" in result.stderr) == (2, True)
