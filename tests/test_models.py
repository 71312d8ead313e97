"""Where a model's files are: folders as they are, hub models at one commit, and each failure in one line."""

import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from huggingface_hub import errors
from safetensors.numpy import save

from selfreward import models
from selfreward.errors import BadInput
from selfreward.models import has_chat_template, link_with_template, resolve_model
from selfreward.recipe import Recipe
from selfreward.store import RunFolder, open_run, read_json
from selfreward.templates import source, template_names

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_model_is_a_folder_with_a_config_and_safetensors(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(BadInput, match="no such model folder"):
        resolve_model(str(folder))
    folder.mkdir()
    with pytest.raises(BadInput, match=r"no config\.json.*nothing"):
        resolve_model(str(folder))
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(BadInput, match=r"no \*\.safetensors.*pytorch_model\.bin"):
        resolve_model(str(folder))
    (folder / "model.safetensors").write_bytes(save({}))
    assert resolve_model(str(folder)) == str(folder)
    with pytest.raises(BadInput, match="is a file"):
        resolve_model(str(folder / "config.json"))


def test_a_hub_name_is_known_and_a_mistyped_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert models.is_hub_name("some-org/some-model-1b")
    (tmp_path / "models").mkdir()
    with pytest.raises(BadInput, match="no such model folder"):
        resolve_model("models/mine")


def make_model(folder: Path, template: str | None = "{{ messages }}") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(save({"a": np.zeros(8)}))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


class Hub:
    """Stands for the hub: one repository, and what was asked of it."""

    def __init__(self, where: Path) -> None:
        self.where, self.asked = where, list[dict[str, Any]]()
        self.fails: Exception | None = None
        self.main = COMMIT

    def snapshot_download(self, repo: str, revision: str | None = None, **options: Any) -> str:
        self.asked.append({"repo": repo, "revision": revision, **options})
        if self.fails:
            raise self.fails
        commit = self.main if revision in (None, "main") else revision
        folder = self.where / "snapshots" / str(commit)
        return str(folder if folder.exists() else make_model(folder))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    monkeypatch.chdir(tmp_path)
    models._snapshot.cache_clear()
    return hub


def answer(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "https://hub.example/x"))


@pytest.mark.parametrize("model", ["micro-m0", "folder"])
def test_no_network_is_touched_for_a_model_that_is_here(hub: Hub, tmp_path: Path, model: str) -> None:
    resolve_model(model if model == "micro-m0" else str(make_model(tmp_path / "mine")))
    assert hub.asked == []


def test_a_hub_model_is_a_folder_named_after_its_commit_fetched_once_and_only_what_is_safe(hub: Hub) -> None:
    folder = resolve_model("some-org/model", "v2")
    assert resolve_model("some-org/model", "v2") == folder == str(hub.where / "snapshots" / "v2")
    (asked,) = hub.asked
    assert (asked["repo"], asked["revision"]) == ("some-org/model", "v2")
    assert "*.safetensors" in asked["allow_patterns"]
    assert not {"*.bin", "*.pt", "*.py"} & set(asked["allow_patterns"])
    resolve_model("some-org/model", "v2", trust_remote_code=True)
    assert "*.py" in hub.asked[1]["allow_patterns"]


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (errors.GatedRepoError("Cannot access", response=answer(403)), "gated and you have no access; ask for access"),
        (errors.RepositoryNotFoundError("404", response=answer(404)), "no such model here or on the hub"),
        (errors.RevisionNotFoundError("404", response=answer(404)), "at v2: has no such revision"),
        (errors.LocalEntryNotFoundError("Got: ConnectError"), "at v2: is not here, and the hub cannot be reached"),
        (errors.IncompleteSnapshotError("missing", "/x"), "at v2: is not here whole, and the hub"),
        (errors.HfHubHTTPError("500 Server Error\nmore", response=answer(500)), "cannot be fetched: 500 Server Error"),
        (OSError(28, "No space left on device"), "No space left"),
        (ValueError("Repo id must be"), "cannot be fetched: Repo id must be"),
    ],
)
def test_each_way_a_hub_model_cannot_be_had_is_one_line(hub: Hub, fails: Exception, said: str) -> None:
    hub.fails = fails
    with pytest.raises(BadInput) as raised:
        resolve_model("some-org/model", "v2")
    assert said in str(raised.value) and "some-org/model" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_revision_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no hub model"):
        resolve_model(str(make_model(tmp_path / "mine")), "main")


def test_missing_shards_are_noticed_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    with pytest.raises(BadInput, match="1 of its 2 weight files are missing: model-00002"):
        resolve_model(str(folder))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("model.safetensors.index.json", b"{"),
        ("model.safetensors", b"weights"),
        ("model.safetensors", save({"a": np.zeros(8)})[:-1]),
    ],
)
def test_a_file_that_is_damaged_or_cut_off_is_one_line(tmp_path: Path, name: str, damage: bytes) -> None:
    folder = make_model(tmp_path / "mine")
    (folder / name).write_bytes(damage)
    with pytest.raises(BadInput, match=f"{name}: .*; fetch or copy the model again"):
        resolve_model(str(folder))


def test_a_run_keeps_the_commit_it_was_started_with(hub: Hub, tmp_path: Path) -> None:
    recipe = Recipe(name="x", model="some-org/model")
    with open_run(tmp_path / "run", recipe) as run:
        assert run.model_path("m0") == str(hub.where / "snapshots" / COMMIT)
    stamp = read_json(tmp_path / "run" / "stamp.json")
    assert (stamp["model"], stamp["commit"]) == ("some-org/model", COMMIT)
    hub.main = "f" * 40  # the branch moves on
    models._snapshot.cache_clear()
    with open_run(tmp_path / "run", recipe) as run:
        assert run.model_path("m0") == str(hub.where / "snapshots" / COMMIT)
    assert {asked["revision"] for asked in hub.asked} == {None, COMMIT}


def opened(folder: Path, **values: Any) -> str:
    """Where M0 of a fresh run in `folder` lies."""
    with open_run(folder, Recipe.of({"name": "x", **values})) as run:
        return run.model_path("m0")


def test_a_model_without_a_template_and_none_named_is_one_error_that_lists_the_names(tmp_path: Path) -> None:
    bare = make_model(tmp_path / "bare", template=None)
    with pytest.raises(BadInput) as raised:
        opened(tmp_path / "run", model=str(bare))
    for name in template_names("chat"):
        assert name in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_named_template_makes_m0_a_folder_of_the_run_that_any_engine_can_load(tmp_path: Path) -> None:
    bare = make_model(tmp_path / "bare", template=None)
    m0 = Path(opened(tmp_path / "run", model=str(bare), chat={"template": "plain"}))
    assert (m0 / "chat_template.jinja").read_text() == source("chat", "plain")
    assert (m0 / "model.safetensors").read_bytes() == save({"a": np.zeros(8)})
    assert (m0 / "model.safetensors").is_symlink() and not (bare / "chat_template.jinja").exists()
    assert opened(tmp_path / "run", model=str(bare), chat={"template": "plain"}) == str(m0)
    assert RunFolder(tmp_path / "run").models() == ["m0"]


def test_a_template_of_the_users_own_is_a_file(tmp_path: Path) -> None:
    bare, mine = make_model(tmp_path / "bare", template=None), tmp_path / "mine.jinja"
    mine.write_text("{{ messages[0].content }}")
    m0 = opened(tmp_path / "run", model=str(bare), chat={"template": str(mine)})
    assert (Path(m0) / "chat_template.jinja").read_text() == mine.read_text()


def test_the_models_own_template_stays(tmp_path: Path) -> None:
    own = make_model(tmp_path / "own")
    assert opened(tmp_path / "run", model=str(own)) == str(own)
    with pytest.raises(BadInput, match=r"chat\.template: is 'plain', but .* template of its own"):
        opened(tmp_path / "other", model=str(own), chat={"template": "plain"})
    with pytest.raises(BadInput, match="no chat template 'chatlm'"):
        opened(tmp_path / "x", model=str(make_model(tmp_path / "bare", None)), chat={"template": "chatlm"})


@pytest.mark.parametrize(
    ("settings", "has_one"), [("{}", False), ('{"chat_template": "x"}', True), ('{"chat_template": null}', False)]
)
def test_a_template_is_found_in_the_tokenizers_settings_too(tmp_path: Path, settings: str, has_one: bool) -> None:
    folder = make_model(tmp_path / "m", template=None)
    (folder / "tokenizer_config.json").write_text(settings)
    assert has_chat_template(folder) is has_one
    (folder / "tokenizer_config.json").write_text("[")
    with pytest.raises(BadInput, match="not a tokenizer's settings"):
        has_chat_template(folder)


def test_linking_changes_nothing_where_the_model_lies(tmp_path: Path) -> None:
    make_model(tmp_path / "m", template=None)
    before = {file.name: file.read_bytes() for file in (tmp_path / "m").iterdir()}
    (tmp_path / "linked").mkdir()
    link_with_template(str(tmp_path / "m"), "x", tmp_path / "linked")
    assert {file.name: file.read_bytes() for file in (tmp_path / "m").iterdir()} == before
