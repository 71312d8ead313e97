"""The architecture, held: a module imports from its own layer or a lower one, never in a circle."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "selfreward"

LAYERS = {
    "selfreward": 0,  # the version, and names that are looked up in `api` when they are asked for
    "selfreward.errors": 0,
    "selfreward.records": 0,
    "selfreward.recipe": 0,
    "selfreward.statistics": 0,
    "selfreward.text": 0,
    "selfreward.micro": 0,  # imports nothing of the rest but records; who may look into it: below
    "selfreward.store": 1,
    "selfreward.stamp": 1,
    "selfreward.chat": 1,
    "selfreward.models": 1,
    "selfreward.weights": 1,
    "selfreward.memory": 1,
    "selfreward.progress": 1,
    "selfreward.named": 1,
    "selfreward.rouge": 1,
    "selfreward.templates": 1,
    "selfreward.tracking": 1,
    "selfreward.engines": 2,
    "selfreward.databases": 3,
    "selfreward.seeds": 3,
    "selfreward.prompts": 3,
    "selfreward.responses": 3,
    "selfreward.judges": 3,
    "selfreward.pairing": 3,
    "selfreward.guards": 3,
    "selfreward.round": 4,
    "selfreward.round_judges": 4,
    "selfreward.meta_judge": 4,
    "selfreward.needs": 5,
    "selfreward.strategies": 5,
    "selfreward.training": 5,
    "selfreward.evaluation": 5,
    "selfreward.analysis": 6,
    "selfreward.asking": 6,
    "selfreward.export": 6,
    "selfreward.following": 6,
    "selfreward.labels": 6,
    "selfreward.loop": 6,
    "selfreward.planning": 6,
    "selfreward.report": 6,
    "selfreward.verifying": 6,
    "selfreward.viewer": 6,
    "selfreward.doctor": 6,
    "selfreward.api": 7,
    "selfreward.cli": 7,
    "selfreward.__main__": 7,
}
MAY_SEE_MICRO = ("selfreward.seeds", "selfreward.evaluation", "selfreward.databases.almanac")
# The oracle is the truth that no model is shown: it writes the human data and measures, and has no part in a round.
ORACLE = "selfreward.micro.oracle"
ASKS_THE_ORACLE = {
    "selfreward.evaluation.micro",  # measures
    "selfreward.micro.people",  # rank, with an error
    "selfreward.micro.reviews",  # what M0 has read
}
OF_A_ROUND = tuple(
    f"selfreward.{name}"
    for name in ("prompts", "responses", "judges", "round_judges", "pairing", "templates", "engines", "training")
)


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {name_of(file): file for file in PACKAGE.rglob("*.py")}


def inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def layer(module: str) -> int:
    """The layer of the longest prefix that the table knows; the bare package stands for itself alone."""
    prefix = module
    while prefix not in LAYERS:
        prefix = prefix.rpartition(".")[0]
    assert prefix != "selfreward" or module == "selfreward", f"{module} is not in the table of layers"
    return LAYERS[prefix]


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of this package that a module names in an import, wherever in the file; relative ones are resolved."""
    file, found = modules()[module], set()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base for alias in node.names]
        found |= {name for name in names if inside(name, ("selfreward",))}
    return frozenset(found - {module})


def test_every_module_has_a_layer() -> None:
    assert len(modules()) > 10
    for module in modules():
        layer(module)


def test_a_module_imports_nothing_from_a_higher_layer() -> None:
    wrong = [
        f"{module} (layer {layer(module)}) imports {other} (layer {layer(other)})"
        for module in modules()
        for other in imports(module)
        if layer(other) > layer(module)
    ]
    assert wrong == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in finished:
            for other in sorted(imports(module) & modules().keys()):
                visit(other, (*path, module))
            finished.add(module)

    for module in modules():
        visit(module, ())


def test_only_seeds_evaluation_and_the_almanac_as_a_database_look_into_the_micro_world() -> None:
    seen = [
        f"{module} imports {other}"
        for module in modules()
        for other in imports(module)
        if inside(other, ("selfreward.micro",)) and not inside(module, ("selfreward.micro", *MAY_SEE_MICRO))
    ]
    assert seen == []


def test_nothing_that_makes_or_judges_a_rounds_data_reaches_the_oracle() -> None:
    """Neither directly nor through other modules."""
    assert {module for module in modules() if ORACLE in imports(module)} == ASKS_THE_ORACLE
    for module in modules():
        if inside(module, OF_A_ROUND):
            reached, ahead = {module}, [module]
            while ahead:
                further = imports(ahead.pop()) & modules().keys() - reached
                reached |= further
                ahead += further
            assert ORACLE not in reached, module


def test_the_micro_world_needs_nothing_but_records() -> None:
    used = {other for module in modules() if inside(module, ("selfreward.micro",)) for other in imports(module)}
    assert {other for other in used if not inside(other, ("selfreward.micro",))} <= {"selfreward.records"}


def test_f18_types_and_lint_are_checked_by_the_command_that_integration_runs() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    done = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    for tool in ("/mypy", "/ruff check", "-m pytest"):
        assert tool in done.stdout


def test_every_module_says_on_its_first_line_what_it_owns() -> None:
    assert [name for name, file in modules().items() if not file.read_text().startswith('"""')] == []
