"""What SECURITY.md promises and a test can hold: nothing that runs what it reads, nothing that listens, nothing unpickled."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfreward.errors import BadInput
from selfreward.models import resolve_model
from selfreward.recipe import Recipe
from selfreward.templates import render

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "selfreward"
NO_WEIGHTS = ("AutoConfig.", "AutoTokenizer.", "GenerationConfig.")
UNPICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUNS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system", "os.popen", "torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load",
    "subprocess.getoutput", "subprocess.getstatusoutput", "jinja2.Environment", "jinja2.Template", "tempfile.mktemp",
}  # fmt: skip


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            yield f"{file.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}", node


def called(node: ast.AST) -> str:
    """`module.name` or `name` of a call; empty for anything else."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def keyword(node: ast.AST, name: str) -> str:
    """A keyword argument of a call as it is written; empty where it is not given."""
    given = node.keywords if isinstance(node, ast.Call) else []
    return next((ast.unparse(one.value) for one in given if one.arg == name), "")


def test_nothing_is_imported_that_unpickles() -> None:
    found = []
    for place, node in nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [place for name in names if name.partition(".")[0] in UNPICKLES]
    assert found == []


def test_nothing_that_is_read_is_run() -> None:
    assert [place for place, node in nodes() if called(node) in RUNS | CALLS] == []
    assert [place for place, node in nodes() if keyword(node, "shell") or keyword(node, "allow_pickle")] == []


def test_yaml_is_read_by_the_safe_loader_alone() -> None:
    loaders = [ast.unparse(base) for _, node in nodes() if isinstance(node, ast.ClassDef) for base in node.bases]
    assert [loader for loader in loaders if loader.endswith("Loader")] == ["yaml.SafeLoader"]


def test_weights_are_read_from_safetensors_alone() -> None:
    loads = [(place, node) for place, node in nodes() if called(node).endswith(".from_pretrained")]
    models = [(place, node) for place, node in loads if not called(node).startswith(NO_WEIGHTS)]
    assert [place.partition(":")[0] for place, _ in models] == ["weights.py"]
    assert [place for place, node in models if keyword(node, "use_safetensors") != "True"] == []


def test_a_models_own_code_runs_only_where_the_recipe_says_so() -> None:
    assert not Recipe(name="x").engine.trust_remote_code
    assert [place for place, node in nodes() if keyword(node, "trust_remote_code") == "True"] == []


def test_nothing_listens_to_the_outside() -> None:
    everywhere = {"0.0.0.0", "::", ""}
    texts = [(place, node.value) for place, node in nodes() if isinstance(node, ast.Constant)]
    assert [place for place, text in texts if text in ("0.0.0.0", "::")] == []
    binds = [node for _, node in nodes() if called(node).endswith(".bind")]
    assert binds
    for node in binds:
        host, _ = ast.literal_eval(ast.unparse(node.args[0])) if isinstance(node, ast.Call) else ("", 0)
        assert host not in everywhere
    listening = [node for _, node in nodes() if isinstance(node, ast.Call) and called(node).endswith("create_server")]
    assert listening
    for node in listening:
        assert ast.unparse(node.args[0]).startswith("('127.0.0.1', ")


@pytest.mark.parametrize(
    "attack",
    ["{{ prompt.__class__.__mro__ }}", "{{ ''.__class__.__base__.__subclasses__() }}", "{{ cycler.__init__.__globals__ }}"],
)  # fmt: skip
def test_a_template_of_the_users_cannot_reach_python(tmp_path: Path, attack: str) -> None:
    file = tmp_path / "judge.jinja"
    file.write_text("{{ prompt }}{{ response }}" + attack)
    with pytest.raises(BadInput):
        render("judge", str(file), prompt="p", response="r")


def test_a_template_in_a_response_is_text() -> None:
    assert "{{ 7 * 7 }}{% raw %}" in render("judge", "additive", prompt="p", response="{{ 7 * 7 }}{% raw %}")


def test_a_model_that_is_a_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(BadInput, match=r"no \*\.safetensors"):
        resolve_model(str(tmp_path))


def test_an_audit_that_could_ask_nobody_about_a_package_does_not_pass() -> None:
    """Left to itself, pip-audit calls packages that its service does not know free of weaknesses."""
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "bin/pip-audit " in line]
    assert " --strict " in line
