"""Tokens that models wrote."""

import shutil
from pathlib import Path

from selfreward import store
from selfreward.chat import load_tokenizer
from selfreward.records import Judgement
from selfreward.report.html import tokens
from selfreward.report.html.run import read_run
from selfreward.report.html.tokens import tokens_written
from selfreward.responses import Responses


def test_responses_are_summed_and_judgements_counted_with_the_tokenizer_of_the_run(small_run: Path) -> None:
    found = tokens_written(read_run(small_run))
    lines = store.read(small_run / "m2" / store.RESPONSES_FILE, Responses)
    assert found["m2 responses"].num == sum(one.num_tokens or 0 for line in lines for one in line.samples)
    tokenizer = load_tokenizer(small_run / "m2" / "model")
    votes = [vote for one in store.read(small_run / "m2" / store.JUDGEMENTS_FILE, Judgement) for vote in one.votes]
    ids = [tokenizer(vote.text, add_special_tokens=False)["input_ids"] for vote in votes]
    assert found["m2 judgements"].num == sum(map(len, ids))
    assert found["m2 judgements"].is_exact and {"m2 prompts", "seed eft_judgements", "sft eval_judgements"} <= set(
        found
    )


def test_many_texts_are_counted_on_a_sample_that_is_even_over_the_file() -> None:
    class OneTokenALetter:
        def encode(self, text: str, add_special_tokens: bool) -> "OneTokenALetter":
            self.ids = list(text)
            return self

    texts = ["a" * (1 + place % 7) for place in range(50_000)]
    found = tokens._counted(OneTokenALetter(), iter(texts))
    assert found is not None and not found.is_exact
    assert abs(found.num - sum(map(len, texts))) < 0.05 * sum(map(len, texts))


def test_without_a_tokenizer_only_what_records_say_is_known(small_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small_run, tmp_path / "run", ignore=shutil.ignore_patterns("model"))
    assert {stage.split()[1] for stage in tokens_written(read_run(run))} == {"responses", "eval_responses"}
