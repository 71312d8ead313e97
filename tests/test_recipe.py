"""Recipes: strict, explained, and equal after a round trip."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from selfreward.errors import BadInput
from selfreward.recipe import (
    Recipe,
    Source,
    differences,
    flat,
    list_recipes,
    load_recipe,
    schema,
    to_yaml,
)

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "selfreward"


def fault(values: dict[str, object]) -> str:
    with pytest.raises(BadInput) as raised:
        Recipe.of({"name": "x", **values})
    return str(raised.value)


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe(name="paper")
    assert (recipe.sft.lr, recipe.sft.final_lr, recipe.sft.batch, recipe.sft.dropout) == (5.5e-6, 1.1e-6, 16, 0.1)
    assert (recipe.dpo.beta, recipe.dpo.lr, recipe.dpo.final_lr, recipe.dpo.batch) == (0.1, 1e-6, 1e-7, 16)
    assert (recipe.responses.num_samples, recipe.responses.temperature, recipe.responses.top_p) == (4, 0.7, 0.9)
    assert (recipe.prompts.shots_seed, recipe.prompts.shots_generated, recipe.prompts.temperature) == (6, 2, 0.6)
    assert (recipe.judge.votes, recipe.seeds.num_ift, recipe.evaluation.num_prompts, recipe.rounds) == (3, 3200, 256, 2)


def test_every_default_names_its_source() -> None:
    def undescribed(model: type[BaseModel]) -> list[str]:
        names = []
        for name, field in model.model_fields.items():
            names += [] if field.description else [f"{model.__name__}.{name}"]
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                names += undescribed(field.annotation)
        return names

    assert undescribed(Recipe) + undescribed(Source) == []


def test_f15_an_unknown_key_fails_and_offers_the_nearest_name_with_its_path() -> None:
    message = fault({"dpo": {"bta": 0.1}})
    assert "dpo.bta: unknown key" in message and "dpo.beta" in message


def test_f15_a_key_in_the_wrong_section_is_sent_to_the_right_one() -> None:
    message = fault({"votes": 3})
    assert "judge.votes" in message and "evaluation.votes" in message


def test_f15_every_field_of_a_recipe_is_read_somewhere_in_the_package() -> None:
    read = set()
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name != "recipe":
            read |= {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
    leaves = {path.rpartition(".")[2] for path, _ in flat(Recipe(name="x").model_dump())} | Source.model_fields.keys()
    assert leaves - read == set()


def test_all_faults_are_named_at_once() -> None:
    message = fault({"rounds": 0, "dpo": {"bta": 1, "lr": -1}, "judge": {"votes": 2, "quorum": 3}, "zzz": 1})
    for path in ("rounds", "dpo.bta", "dpo.lr", "judge.quorum", "zzz"):
        assert f"\n  {path}: " in message
    assert "5 faults" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rounds", 0),
        ("rounds", True),
        ("rounds", 1.5),
        ("seed", -1),
        ("name", ""),
        ("name", "../x"),
        ("name", 7),
        ("dpo.lr", 0),
        ("dpo.lr", -1e-6),
        ("dpo.lr", "fast"),
        ("dpo.lr", float("nan")),
        ("dpo.beta", float("inf")),
        ("dpo.final_lr", 1e-5),
        ("sft.lr", 1e-7),  # below the default final_lr
        ("sft.dropout", 1),
        ("sft.batch", 0),
        ("responses.num_samples", 1),  # no best and worst of one
        ("responses.top_p", 0),
        ("responses.top_p", 1.1),
        ("judge.temperature", -0.1),
        ("judge.quorum", 4),
        ("eft.max_share", 0),
        ("prompts.max_words", 3),
        ("prompts.max_rouge_l", 2),
        ("engine.dtype", "float64"),
        ("engine.threads", 0),
        ("dpo", 3),
        ("dpo", None),
    ],
)
def test_a_value_out_of_bounds_fails_at_its_path(path: str, value: object) -> None:
    section, _, key = path.rpartition(".")
    message = fault({section: {key: value}} if section else {key: value})
    named = "sft.final_lr" if path == "sft.lr" else path
    assert named in message


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ({"source": "micro", "ift": "a.jsonl"}, "seeds: micro is the whole source"),
        ({"source": {"path": "micro", "split": "test"}}, "seeds: micro is the whole source"),
        ({"ift": "a.jsonl"}, "seeds: ranked has no source"),
        ({"ranked": "a.jsonl"}, "seeds: ift has no source"),
        ({"evaluation": "a.jsonl"}, "seeds: ift has no source"),
        ({"source": "c.jsonl", "ift": "a.jsonl", "ranked": "b.jsonl"}, "seeds: source is not needed"),
        ({"source": {"split": "test"}}, "seeds.source.path: is missing"),
        ({"source": ""}, "seeds.source.path"),
        ({"source": "a.jsonl", "bad_lines": "ignore"}, "seeds.bad_lines"),
        ({"source": {"path": "a.jsonl", "form": "chatml"}}, "seeds.source.form"),
        (
            {"ift": {"path": "a.jsonl", "fom": "alpaca"}, "ranked": "b"},
            "seeds.ift.fom: unknown key, did you mean seeds.ift.form",
        ),
    ],
)
def test_every_part_of_the_seeds_has_one_source(seeds: dict[str, object], said: str) -> None:
    assert said in fault({"seeds": seeds})


@pytest.mark.parametrize(
    ("seeds", "written"),
    [
        ({}, {"source": "micro"}),
        ({"source": "org/name"}, {"source": "org/name"}),
        ({"source": {"path": "org/name", "revision": "abc"}}, {"source": {"path": "org/name", "revision": "abc"}}),
        ({"ift": "a.json", "ranked": {"path": "b.jsonl"}}, {"source": None, "ift": "a.json", "ranked": "b.jsonl"}),
    ],
)
def test_a_source_is_written_as_a_name_where_nothing_else_is_said(
    seeds: dict[str, object], written: dict[str, object]
) -> None:
    recipe = Recipe.of({"name": "x", "seeds": seeds})
    assert written.items() <= yaml.safe_load(to_yaml(recipe))["seeds"].items()
    assert Recipe.of(yaml.safe_load(to_yaml(recipe))) == recipe


def test_f24_every_recipe_in_the_document_about_seeds_is_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "seeds.md").read_text(), re.DOTALL)
    assert len(blocks) > 2
    for block in blocks:
        assert not Recipe.of({"name": "x", **yaml.safe_load(block)}).seeds.is_micro


def test_recipes_whose_sources_differ_in_a_setting_differ() -> None:
    one, other = (
        Recipe.of({"name": "x", "seeds": {"source": source}}) for source in ("a", {"path": "a", "split": "b"})
    )
    assert differences(one, other) == [
        "seeds.source: 'a' there, None given",
        "seeds.source.path: None there, 'a' given",
        "seeds.source.split: None there, 'b' given",
    ]


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ({"name": "server"}, "needs server.url"),
        ({"server": {"url": "http://h/v1"}}, "local does not use server"),
        ({"vllm": {"args": ["--x"]}}, "local does not use vllm"),
        ({"ray": {"replicas": 2}}, "local does not use ray"),
        ({"name": "vllm", "ray": {"replicas": 2}}, "vllm does not use ray"),
        ({"name": "ray", "ray": {"replicas": 2}, "vllm": {"args": ["--x"]}}, "ray does not use vllm"),
        ({"name": "ray"}, "needs ray.replicas"),
        ({"name": "ray", "ray": {"replicas": 2, "gpus": 2}}, "engine.ray.gpus"),
        ({"name": "server", "server": {"url": "http://h/v1"}, "threads": 2}, "server does not use threads"),
        (
            {"name": "server", "server": {"url": "http://h/v1"}, "trust_remote_code": True},
            "server does not use trust_remote_code",
        ),
        ({"name": "vllm", "device": "cpu", "server": {"model": "x"}}, "vllm does not use device and server.model"),
        ({"name": "server", "server": {"url": "ftp://h/v1"}}, "engine.server.url"),
        ({"name": "server", "server": {"url": "http://h/v1", "model": "big"}}, "name it in judge.engine"),
        ({"name": "server", "server": {"url": "http://h/v1", "concurrency": 0}}, "engine.server.concurrency"),
    ],
)
def test_f15_a_setting_that_the_engine_would_ignore_fails(engine: dict[str, object], said: str) -> None:
    assert said in fault({"engine": engine})


@pytest.mark.parametrize(
    ("key", "value"),
    [("api_key_env", "sk-secret"), ("url", "http://me:sk-secret@h/v1"), ("url", "http://h/v1?k=sk-secret")],
)
def test_a_key_written_into_a_recipe_is_refused_and_not_repeated(key: str, value: str) -> None:
    server = {"url": "http://h/v1", key: value}
    message = fault({"judge": {"engine": {"name": "server", "server": server}}})
    assert f"judge.engine.server.{key}: " in message and "sk-secret" not in message


def test_f15_an_unknown_key_of_an_optional_section_offers_the_nearest_name() -> None:
    message = fault({"judge": {"engine": {"name": "server", "server": {"url": "http://h/v1", "modl": "x"}}}})
    assert "judge.engine.server.modl: unknown key" in message and "judge.engine.server.model" in message


def test_a_section_that_stands_in_one_recipe_alone_is_a_difference() -> None:
    engine = {"name": "server", "server": {"url": "http://h/v1", "model": "big"}}
    plain, judged = Recipe(name="x"), Recipe.of({"name": "x", "judge": {"engine": engine}})
    assert "judge.engine.server.model: None there, 'big' given" in differences(plain, judged)
    assert "judge.engine.server.model: 'big' there, None given" in differences(judged, plain)
    assert Recipe.of(yaml.safe_load(to_yaml(judged))) == judged


def test_no_shots_at_all_are_refused() -> None:
    assert "must not both be 0" in fault({"prompts": {"shots_seed": 0, "shots_generated": 0}})


def test_a_number_that_yaml_reads_as_text_is_the_number_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("name: x\ndpo: {lr: 1e-5, final_lr: 1e-6}\n")
    assert isinstance(yaml.safe_load(file.read_text())["dpo"]["lr"], str)
    assert load_recipe(file).dpo.lr == 1e-5


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: x\ndpo: [", ":2: not YAML"),
        ("name: x\nrounds: 1\nrounds: 2\n", "stands twice"),
        ("- a\n- b\n", "mapping"),
        ("", "mapping"),
        ("rounds: 1\n", "name: is missing"),
        ("name: x\nsft: !!python/object/apply:os.system [ls]\n", "not YAML"),
        ("? [a]\n: 1\n", "not YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_named_with_its_fault(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=re.escape(named)) as raised:
        load_recipe(file)
    assert str(file) in str(raised.value)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        load_recipe(file)


def test_overrides_replace_single_values_and_nothing_else() -> None:
    plain, changed = load_recipe("micro"), load_recipe("micro", ["dpo.lr=3e-4", "rounds=1", "engine.threads=2"])
    paths = {line.partition(":")[0] for line in differences(plain, changed)}
    assert paths == {"dpo.lr", "rounds", "engine.threads"}
    assert (changed.dpo.lr, changed.rounds, changed.engine.threads) == (3e-4, 1, 2)


@pytest.mark.parametrize("text", ["dpo.lr", "=3", "dpo.lr=[", "dpo.lr.x=1", "dpo.bta=1", "dpo=1"])
def test_an_override_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        load_recipe("micro", [text])


def test_an_unknown_recipe_offers_the_nearest_and_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"did you mean micro\?"):
        load_recipe("mico")
    with pytest.raises(BadInput, match="no such file"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="not a run folder"):
        load_recipe(tmp_path)


def test_every_shipped_recipe_is_valid_named_after_its_file_and_described() -> None:
    shipped = list_recipes()
    assert {
        "micro",
        "micro-fast",
        "micro-grounded",
        "paper",
        "llama-3.1-8b-lora",
        "meta-llama-8b-full",
        "qwen-0.5b",
    } <= shipped.keys()
    for name, line in shipped.items():
        assert load_recipe(name).name == name
        assert line


@pytest.mark.parametrize("name", sorted(list_recipes()))
def test_what_a_shipped_recipe_changes_has_a_reason(name: str) -> None:
    """A value that differs from the default has a comment on its line, or follows one in the same section."""
    defaults = dict(flat(Recipe(name="x").model_dump()))
    section, explained, bare = "", False, []
    for line in (PACKAGE / "recipes" / f"{name}.yaml").read_text().splitlines():
        key, _, rest = line.partition(":")
        if not line.startswith(" "):
            section, explained = key, "#" in rest
        else:
            explained = explained or "#" in rest
            path = f"{section}.{key.strip()}"
            if not explained and getattr(load_recipe(name), section).model_dump()[key.strip()] != defaults[path]:
                bare.append(path)
    assert bare == []


def test_the_papers_recipe_is_the_defaults_but_for_the_model_its_template_and_early_stopping() -> None:
    changed = {line.partition(":")[0] for line in differences(Recipe(name="paper"), load_recipe("paper"))}
    others = ("plan.", "training.early_stopping")  # which is dear, and off by default
    assert {path for path in changed if not path.startswith(others)} == {"model", "chat.template", "seeds.source"}


def test_the_grounded_micro_recipe_is_micro_but_for_its_judge() -> None:
    changed = {line.partition(":")[0] for line in differences(load_recipe("micro"), load_recipe("micro-grounded"))}
    judge = {f"judge.{key}" for key in ("name", "template", "database", "passages")}
    assert changed == {"name", "plan.evidence_tokens", *judge}


@pytest.mark.parametrize("targets", [[], "q_proj", ["q_proj", 3], [""]])
def test_targets_of_an_adapter_are_all_or_names(targets: object) -> None:
    with pytest.raises(BadInput, match=r"^recipe: adapter\.targets: must be all-linear or a list of names of modules"):
        Recipe.of({"name": "x", "adapter": {"kind": "lora", "targets": targets}})


def test_settings_of_an_adapter_without_one_are_refused_not_ignored() -> None:
    assert "adapter: its settings have no effect with kind: none" in fault({"adapter": {"rank": 8}})
    assert Recipe.of({"name": "x", "adapter": {"kind": "lora", "rank": 8}}).adapter.rank == 8
    with pytest.raises(BadInput, match="choose lora or qlora"):
        load_recipe("llama-3.1-8b-lora", ["adapter.kind=none", "adapter.alpha=8"])


def test_a_schedule_changes_rounds_and_nothing_before_them() -> None:
    schedule = [{"dpo.beta": 0.5, "sft.lr": 1e-4, "sft.final_lr": 1e-5}, {"strategy": "spin", "pairs.rho": 0.2}]
    recipe = Recipe.of({"name": "x", "rounds": 3, "dpo": {"lr": 3e-6}, "schedule": schedule})
    before = recipe.model_copy(update={"schedule": []})
    assert recipe.of_round(-1) == recipe.of_round(1) == before  # the SFT baseline and M1
    assert (recipe.of_round(2).dpo.beta, recipe.of_round(2).sft.lr, recipe.of_round(2).dpo.lr) == (0.5, 1e-4, 3e-6)
    assert recipe.of_round(3) == recipe.of_round(4)  # the last entry holds for all later rounds
    assert (recipe.of_round(4).strategy, recipe.of_round(4).pairs.rho, recipe.of_round(4).dpo.beta) == (
        "spin",
        0.2,
        0.1,
    )


def test_an_entry_of_a_schedule_may_have_sections_and_leaves_the_rest_of_them() -> None:
    recipe = Recipe.of(
        {"name": "x", "dpo": {"lr": 3e-6}, "schedule": [{"dpo": {"beta": 0.5}, "judge.engine.name": "local"}]}
    )
    assert (recipe.of_round(2).dpo.beta, recipe.of_round(2).dpo.lr) == (0.5, 3e-6)
    assert recipe.of_round(2).judge.engine is not None and recipe.judge.engine is None


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ([{}, {}, {}], "has 3 entries for 2 rounds: raise rounds"),
        ([{"rounds": 3}], "rounds is one for all rounds"),
        ([{}, {"dpo.betta": 1}], "schedule, entry 2: dpo.betta: unknown key, did you mean dpo.beta"),
        ([{"strategy.name": "spin"}], "schedule, entry 1: strategy: "),
        ([{"dpo.beta": -1}], "schedule, entry 1: dpo.beta: "),
        ([{"lesson.reference": "m2"}], "lesson.reference: m2 is not there yet when M2 is made"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(schedule: list[dict[str, object]], says: str) -> None:
    assert says in fault({"schedule": schedule})


@given(
    rounds=st.integers(1, 9),
    lr=st.floats(1e-6, 1.0),
    threads=st.none() | st.integers(1, 64),
    model=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1),
)
def test_a_recipe_reads_back_equal(rounds: int, lr: float, threads: int | None, model: str) -> None:
    recipe = Recipe.of(
        {"name": "x", "rounds": rounds, "model": model, "dpo": {"lr": lr}, "engine": {"threads": threads}}
    )
    assert Recipe.of(yaml.safe_load(to_yaml(recipe))) == recipe


def test_a_run_folder_stands_for_its_recipe(tmp_path: Path) -> None:
    recipe = load_recipe("micro", ["rounds=1"])
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    assert load_recipe(tmp_path) == recipe


def test_the_schema_in_the_documents_is_the_codes() -> None:
    written = json.loads((ROOT / "docs" / "recipe.schema.json").read_text())
    assert written == schema(), "run `make docs`"


def test_f07_code_names_no_model_or_data_set_on_a_hub() -> None:
    """What is loaded comes from the recipe: no loader is called with a literal, and no known owner stands in code."""
    loaders = {"from_pretrained", "load_dataset", "snapshot_download", "hf_hub_download", "push_to_hub", "pipeline"}
    owner = re.compile(
        r"\b(meta-llama|Qwen|mistralai|google|openai|microsoft|HuggingFaceTB|HuggingFaceH4|EleutherAI|OpenAssistant|"
        r"tatsu-lab|allenai|deepseek-ai|facebook)/[\w.-]+"
    )
    found = []
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in loaders:
                found += [f"{file.name}:{node.lineno}" for arg in node.args[:1] if isinstance(arg, ast.Constant)]
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and owner.search(node.value):
                found.append(f"{file.name}:{node.lineno}")
    assert found == []
