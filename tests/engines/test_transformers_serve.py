"""`transformers serve` with M0 as the judge: the server engine against a server of another project."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_serving import served_copy, transformers_server
from transformers.utils.import_utils import is_serve_available

from selfreward.engines import open_engine
from selfreward.engines.base import Sampling
from selfreward.errors import StageFailed
from selfreward.judges import llm
from selfreward.micro import people
from selfreward.models import resolve_model
from selfreward.recipe import EngineOptions, load_recipe
from selfreward.responses import ranked_responses

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not is_serve_available(), reason="pip install 'selfreward[serving]'"),
]
RECIPE = load_recipe("micro")
RESPONSES = ranked_responses(people.rank_responses(3, 3, 0, "dev", set()))


@pytest.fixture(scope="module")
def m0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """M0 with settings that let the server sample: those that are shipped say nothing, which it takes for greedy."""
    return served_copy("micro-m0", tmp_path_factory.mktemp("m0") / "model")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_server(tmp_path_factory.mktemp("serve")) as url:
        yield url


def engine(url: str, model: str | Path) -> Any:
    server = {"url": url, "concurrency": 4, "retries": 0, "timeout_s": 120}
    return open_engine(EngineOptions.model_validate({"name": "server", "server": server}), model)


def test_m0_judges_through_the_server_as_it_does_in_this_process(url: str, m0: Path) -> None:
    local = open_engine(EngineOptions(device="cpu", dtype="float32"), m0)
    greedy = RECIPE.judge.model_copy(update={"votes": 1, "temperature": 0.0, "top_p": 1.0})
    expected = llm.judge(local, RESPONSES, greedy, "m0", 0)
    local.close()
    served = engine(url, m0)
    assert llm.judge(served, RESPONSES, greedy, "m0", 0) == expected
    drawn = llm.judge(served, RESPONSES, RECIPE.judge, "m0", 0)
    assert served.usage()["answered_by"].keys() == {f"{m0}@main"}
    served.close()
    assert all(judgement.score is not None and len(judgement.votes) == 3 for judgement in drawn)
    assert any(len({vote.text for vote in judgement.votes}) == 3 for judgement in drawn)


def test_the_greedy_trap_is_sprung_by_a_model_that_does_not_say_do_sample(url: str) -> None:
    served = engine(url, resolve_model("micro-m0"))
    with pytest.raises(StageFailed, match="does not sample: 16 of 16 prompts"):
        llm.judge(served, RESPONSES, RECIPE.judge, "m0", 0)
    served.close()


def test_it_gives_no_probabilities_and_the_engine_says_so(url: str, m0: Path) -> None:
    served = engine(url, m0)
    with pytest.raises(StageFailed):
        served.score_tokens([("Review the answer.", "")], ["1"])
    assert served.generate([], Sampling(0, 1, 4)) == []
    served.close()


def test_continuous_batching_keeps_the_temperature_of_its_first_request_and_is_refused(
    m0: Path, tmp_path: Path
) -> None:
    small = (
        "--cb-num-blocks",
        "64",
        "--cb-max-batch-tokens",
        "256",
    )  # else its cache takes most of the memory there is
    with transformers_server(tmp_path, "--continuous-batching", *small) as url:
        served = engine(url, m0)
        with pytest.raises(StageFailed, match="ignores the temperature"):
            llm.judge(served, RESPONSES, RECIPE.judge, "m0", 0)
        served.close()
