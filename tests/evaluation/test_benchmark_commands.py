"""The commands of the benchmarks: a table for people, JSON for programs, one line where something is wrong."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from selfreward.cli import app

CLI = CliRunner()


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def ifeval_files(folder: Path) -> list[str]:
    task = {"key": 1, "prompt": "p", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    prompts = write(folder / "prompts.jsonl", task, {**task, "key": 2, "prompt": "q"})
    texts = {"p": "one, two", "q": "[b]one[/b]", "r": "of no prompt"}
    responses = write(folder / "responses.jsonl", *({"prompt": p, "response": text} for p, text in texts.items()))
    return ["eval", "ifeval", "--prompts", prompts, "--responses", responses]


def test_ifeval_prints_a_table_or_json(tmp_path: Path) -> None:
    command = ifeval_files(tmp_path)
    shown = CLI.invoke(app, command)
    assert shown.exit_code == 0, shown.stderr
    assert "IFEval, % followed, 2 prompts with 2 instructions" in shown.stdout
    assert "50.0 ±" in shown.stdout and "1 responses are to other prompts." in shown.stdout
    found = json.loads(CLI.invoke(app, [*command, "--json"]).stdout)
    assert found["strict"]["prompt"]["value"] == 0.5
    assert found["unused_responses"] == 1


def test_a_file_that_cannot_be_used_is_one_line_and_exit_2(tmp_path: Path) -> None:
    command = ifeval_files(tmp_path)
    result = CLI.invoke(app, [*command[:-1], str(tmp_path / "none.jsonl")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
