"""To the hub only when asked, private unless told, and no token is ever shown; a fake stands for the hub's client."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from datasets import load_dataset
from typer.testing import CliRunner

from selfreward.cli import app

CLI = CliRunner()
TOKEN = "hf_secretsecretsecret"


class FakeHub:
    """Stands for HfApi: remembers what it was asked, and what lay in the folder that was sent."""

    def __init__(self, private: bool | None = None, refuses: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent: set[str] = set()
        self.private, self.refuses = private, refuses

    def __call__(self) -> "FakeHub":
        return self

    def create_repo(self, repo_id: str, **settings: Any) -> str:
        self.calls.append(("create_repo", {"repo_id": repo_id, **settings}))
        if self.refuses:
            raise self.refuses
        if self.private is None:  # it was not there
            self.private = settings["private"]
        return f"https://hub/{repo_id}"

    def repo_info(self, repo_id: str, *, repo_type: str) -> Any:
        return type("Info", (), {"private": self.private})

    def upload_folder(self, **settings: Any) -> None:
        self.calls.append(("upload_folder", settings))
        self.sent = {file.name for file in Path(settings["folder_path"]).iterdir()}


@pytest.fixture
def run(micro_fast: Path) -> Path:
    return micro_fast / "runs" / "micro-fast"


def hub(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> FakeHub:
    fake = FakeHub(**settings)
    monkeypatch.setattr(huggingface_hub, "HfApi", fake)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return fake


def test_a_model_goes_to_a_private_repository_with_its_card(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = hub(monkeypatch)
    result = CLI.invoke(app, ["push", str(run / "m3"), "me/mine"])
    assert (result.exit_code, result.stdout) == (0, "https://hub/me/mine\n"), result.stderr
    (_, created), (_, uploaded) = fake.calls
    assert created == {"repo_id": "me/mine", "repo_type": "model", "private": True, "exist_ok": True}
    assert (uploaded["repo_id"], uploaded["repo_type"]) == ("me/mine", "model")
    assert {"README.md", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= fake.sent


def test_a_run_goes_as_a_data_set_that_loads_by_the_names_in_its_card(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = hub(monkeypatch)
    assert CLI.invoke(app, ["push", str(run), "me/mine", "--public"]).exit_code == 0
    assert (fake.calls[0][1]["repo_type"], fake.calls[0][1]["private"]) == ("dataset", False)
    assert CLI.invoke(app, ["push", str(run), "me/mine", "--dry-run", str(tmp_path / "dry")]).exit_code == 0
    assert fake.sent == {file.name for file in (tmp_path / "dry").iterdir()}
    assert len(load_dataset(str(tmp_path / "dry"), "pairs-m2", split="train")) == 99


def test_a_dry_run_writes_what_would_be_sent_and_asks_nobody(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = hub(monkeypatch)
    result = CLI.invoke(app, ["push", str(run / "m3"), "me/mine", "--dry-run", str(tmp_path / "dry")])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'dry'}: nothing was sent\n")
    assert fake.calls == []
    card = (tmp_path / "dry" / "README.md").read_text()
    assert "# micro-fast m3" in card and "## What was measured" in card


def test_a_repository_that_is_public_gets_nothing_unless_that_was_said(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = hub(monkeypatch, private=False)
    result = CLI.invoke(app, ["push", str(run / "m3"), "me/mine"])
    assert (result.exit_code, result.stderr) == (
        2,
        "error: me/mine: is public already; say --public, or give another repository\n",
    )
    assert [name for name, _ in fake.calls] == ["create_repo"]


def test_no_token_is_shown_whatever_the_client_says(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, refuses=RuntimeError(f"403\nheaders: Bearer {TOKEN}"))
    for debug in ([], ["--debug"]):
        result = CLI.invoke(app, [*debug, "push", str(run / "m3"), "me/mine"])
        assert result.exit_code == 3
        assert "me/mine: the hub did not take it: RuntimeError: 403 headers: Bearer ...; log in" in result.stderr
        assert TOKEN not in result.output


@pytest.mark.parametrize("repo", ["mine", "a/b/c", "../x", "me/mine?x"])
def test_a_repository_has_an_owner_and_a_name(repo: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = hub(monkeypatch)
    assert CLI.invoke(app, ["push", str(run), repo]).exit_code == 2
    assert fake.calls == []
