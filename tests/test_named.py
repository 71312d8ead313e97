"""Names in a recipe: ours, or a function of the user's."""

import sys
from pathlib import Path

import pytest

from selfreward.engines import find_engine
from selfreward.errors import BadInput
from selfreward.judges import open_judge
from selfreward.named import find


def ours() -> str:
    return "ours"


FUNCTIONS = {"self_rewarding": ours}


def test_one_of_ours_is_found_by_its_name() -> None:
    assert find("self_rewarding", FUNCTIONS, "strategy") is ours


def test_one_of_the_users_lies_beside_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_the_user.py").write_text("def theirs():\n    return 'theirs'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "of_the_user", raising=False)
    assert find("of_the_user:theirs", FUNCTIONS, "strategy")() == "theirs"


def test_an_installed_module_is_found_too() -> None:
    import json

    assert find("json:dumps", FUNCTIONS, "judge.name") is json.dumps


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("self_rewardin", "strategy: unknown name 'self_rewardin'; did you mean self_rewarding?"),
        ("", "unknown name ''"),
        (":", "unknown name"),
        (":ours", "unknown name"),
        ("json:", "unknown name"),
        (".json:dumps", "unknown name"),
        ("no_such_module:f", "cannot import 'no_such_module:f'"),
        ("json:no_such_function", "no_such_function"),
    ],
)
def test_what_is_not_there_is_bad_input_that_says_where(name: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        find(name, FUNCTIONS, "strategy")
    assert said in str(raised.value)
    assert str(raised.value).startswith("strategy: ")


def test_a_fault_inside_the_users_module_is_named_and_kept_as_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match="division by zero") as raised:
        find("broken_module:f", FUNCTIONS, "strategy")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(BadInput, match="'os:path' is no function"):
        find("os:path", FUNCTIONS, "strategy")


def test_judges_and_engines_are_found_the_same_way() -> None:
    with pytest.raises(BadInput, match=r"judge\.name: .*did you mean llm"):
        open_judge("lm")
    with pytest.raises(BadInput, match=r"engine\.name: .*did you mean local"):
        find_engine("locl")
