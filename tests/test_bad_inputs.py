"""What people get wrong, as data: every case of bad_inputs/*.yaml ends in one line that says what, where and what to do.

A case has a `name` and a regular expression, `says`, for what stands behind `error: `; and of these what it needs:
files     path -> text, or one of {lines: [...]}, {json: ...}, {hex: ...}, {gzip: ...}, {times: [text, n]}, {cut: bytes}
edit      path of a JSON object -> keys that are set in it; null takes a key away
weights   path of safetensors -> tensor -> the number that all of it becomes; null takes the tensor away
without   paths that are deleted
set       settings of the recipe, as for --set
endpoint  attributes of a FakeEndpoint; `{url}` stands for its address, the model `M0` for its own
command   the command's words; without one, the recipe is run
code      the exit code where it is not 2
usage     true where the words of the command are themselves wrong, which is said in a box
In the working folder are base.yaml with its data, `model` (the embedded M0, if a case names it) and a run, `runs/x`.
"""

import gzip
import json
import re
import shlex
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support_endpoint import FakeEndpoint
from typer.testing import CliRunner

from selfreward import asking, loop
from selfreward.cli import app
from selfreward.errors import StageFailed
from selfreward.recipe import Recipe, to_yaml

FOLDER = Path(__file__).parent / "bad_inputs"
M0 = Path(loop.__file__).parent / "micro" / "m0"
CASES = {
    f"{file.stem}: {case['name']}": case
    for file in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
}
NOT_REFUSED = "the training was reached"
RUN = "run base.yaml --to out --quiet"
SEEDS = {
    "ift.jsonl": [{"prompt": f"Name {n} rivers.", "completion": "The Nile."} for n in range(4)],
    "ranked.jsonl": [
        {"prompt": f"Name {n} tools.", "responses": [{"text": f"A saw and {rank}", "rank": rank} for rank in range(2)]}
        for n in range(4)
    ],
}
RECIPE: dict[str, Any] = {
    "name": "x",
    "seeds": {"ift": "ift.jsonl", "ranked": "ranked.jsonl", "num_ift": 2, "num_eft_prompts": 1},
    "evaluation": {"num_ranked_sets": 1},
}


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """What should have been refused by then fails its case at once."""

    def train(*_: Any) -> None:
        raise StageFailed(NOT_REFUSED)

    monkeypatch.setattr(loop, "train", train)
    asking._engines.close()


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    fake = FakeEndpoint(model="m")
    yield fake
    fake.close()


def lay_out(case: dict[str, Any]) -> None:
    """Makes the working folder of a case."""
    for name, rows in SEEDS.items():
        Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Path("base.yaml").write_text(yaml.safe_dump(RECIPE))
    run = Path("runs/x")
    (run / "m1").mkdir(parents=True)
    (run / "recipe.yaml").write_text(to_yaml(Recipe.of(RECIPE)))
    (run / "stamp.json").write_text('{"commit": null}')
    touched = [path for key in ("files", "edit", "without", "weights") for path in case.get(key, ())]
    if any(path.startswith("runs/x/m1/model") for path in touched):
        shutil.copytree(M0, run / "m1" / "model")
    else:
        (run / "m1" / "model").symlink_to(M0)
    if any(path.startswith("model/") for path in touched):
        shutil.copytree(M0, "model")
    for path in case.get("without", ()):
        Path(path).unlink()
    for path, made in case.get("files", {}).items():
        write(Path(path), made)
    for path, values in case.get("edit", {}).items():
        held = json.loads(Path(path).read_bytes()) | values
        Path(path).write_text(json.dumps({key: value for key, value in held.items() if value is not None}))
    for path, tensors in case.get("weights", {}).items():
        spoil(Path(path), tensors)


def spoil(path: Path, tensors: dict[str, float | None]) -> None:
    """Fills or removes tensors of a file."""
    from safetensors.numpy import load_file, save_file

    held = load_file(path)
    for tensor, number in tensors.items():
        if number is None:
            del held[tensor]
        else:
            held[tensor].fill(number)
    save_file(held, path, metadata={"format": "pt"})


def write(path: Path, made: Any) -> None:
    """Writes a file as its case says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(made, str):
        path.write_bytes(made.encode())
        return
    ((how, value),) = made.items()
    if how == "cut":
        path.write_bytes(path.read_bytes()[:value])
        return
    path.write_bytes(
        {
            "lines": lambda: "".join(f"{v if isinstance(v, str) else json.dumps(v)}\n" for v in value).encode(),
            "json": lambda: json.dumps(value).encode(),
            "hex": lambda: bytes.fromhex(value),
            "gzip": lambda: gzip.compress(value.encode()),
            "times": lambda: (value[0] * value[1]).encode(),
        }[how]()
    )


def words(case: dict[str, Any], url: str) -> list[str]:
    """The words of a case's command."""
    command = case.get("command", RUN)
    listed = shlex.split(command) if isinstance(command, str) else list(command)
    for setting in case.get("set", ()):
        listed += ["--set", setting]
    return [word.replace("{url}", url).replace("{closed}", f"http://127.0.0.1:{closed_port()}/v1") for word in listed]


def answer(status: int, headers: dict[str, str], body: Any) -> tuple[int, dict[str, str], Any]:
    """What an endpoint is told to answer; `{times: [text, n]}` is a long body."""
    if isinstance(body, dict) and "times" in body:
        text, number = body["times"]
        body = text * number
    if isinstance(body, dict) and body.get("model") == "M0":
        body = body | {"model": str(M0.resolve())}
    return status, headers, body


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("name", list(CASES))
def test_what_cannot_be_used_ends_in_one_line_that_says_what_and_where_and_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    lay_out(case)
    url = ""
    if "endpoint" in case:
        fake = request.getfixturevalue("fake")
        vars(fake).update(case["endpoint"])
        fake.faults = [fault if fault == "drop" else answer(*fault) for fault in case["endpoint"].get("faults", ())] * 3
        fake.model = case["endpoint"].get("model", str(M0.resolve()))
        url, timeout_s = fake.url, 0.5 if fake.delay_s else 60
        Path("runs/x/recipe.yaml").write_text(to_yaml(Recipe.of(RECIPE | {"engine": {
            "name": "server", "server": {"url": url, "retries": 0, "timeout_s": timeout_s}}})))  # fmt: skip
    result = CliRunner().invoke(app, words(case, url))
    said = re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
    assert result.exit_code == case.get("code", 2), said + result.stdout
    assert "Traceback" not in said and NOT_REFUSED not in said
    if case.get("usage"):
        assert re.search(case["says"], " ".join(said.replace("│", " ").split())), said
        return
    assert result.stdout == ""
    (line,) = said.splitlines()
    assert re.match(f"error: {case['says']}", line), line
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
    if case.get("code", 2) == 2:
        assert not Path("out").exists()


def test_the_corpus_has_at_least_two_hundred_cases_and_no_two_of_one_name() -> None:
    assert len(CASES) >= 200
    listed = [
        f"{file.stem}: {case['name']}" for file in FOLDER.glob("*.yaml") for case in yaml.safe_load(file.read_text())
    ]
    assert len(listed) == len(set(listed))
