"""What `selfreward plan` predicts of a run beside what the run took: seconds and tokens, stage by stage and in all.

    python benchmarks/plan.py [RUN] [--recipe micro]

RUN is a finished run made on this machine; without one the recipe is run. The plan is for this machine, measured, unless
the recipe names other hardware. A run writes no count of tokens but that of its responses, so tokens are counted from its
files as its engine reads them: the distinct prompts of a batch, what they begin with once; texts encoded again, each with its
end token; the rows of every epoch, and of DPO's reference.
"""

import argparse
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from os.path import commonprefix
from pathlib import Path
from typing import Any

import torch
from common import write_results
from quickstart import timed_run

from selfreward import chat, store
from selfreward.engines.local import MIN_SHARED
from selfreward.judges.shown import judge_prompt
from selfreward.planning import plan
from selfreward.prompts import Attempt, ask_for_one_more
from selfreward.records import Example, Judgement, Pair, Prompt, RankedSet
from selfreward.report import tables
from selfreward.responses import Responses
from selfreward.round import ATTEMPTS_AT_ONCE
from selfreward.stamp import hardware
from selfreward.store import RunFolder
from selfreward.training import data

KINDS = ("read_tokens", "written_tokens", "trained_tokens")
NOT_PREDICTED = (
    "within the stages: loading and saving models, tokenizing, filtering, and rows that are padded",
    "outside of them: starting Python, making the seeds, pairing, measuring, writing",
)


class Counter:
    """Counts the tokens of a run's stages in its files."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.recipe = run, run.recipe()
        self.tokenizer = chat.load_tokenizer(run.model_path("sft"))
        self.ift = store.read(run.path / store.SEED_FOLDER / store.IFT_FILE, Example)
        eft = run.path / store.SEED_FOLDER / store.EFT_FILE
        self.eft = store.read(eft, Example) if eft.exists() else []
        self.prompts = {example.id: example.prompt for example in self.ift}  # those that attempts may show

    def stages(self) -> dict[str, dict[str, int]]:
        """Stage -> tokens of each kind that it read, wrote and trained on."""
        recipe, found = self.recipe, {}
        if self.eft:
            file = self.run.path / store.SEED_FOLDER / store.EFT_JUDGEMENTS_FILE
            found["seed eft_judgements"] = self._judged(file, recipe.engine.batch_size)
        for name in self.run.models()[1:]:
            folder = self.run.path / name
            if name in ("sft", "m1"):
                rows = data.sft_rows(
                    self.tokenizer, [*self.ift, *(self.eft if name == "m1" else [])], recipe.sft.max_tokens
                )
                found[f"train {name}"] = _tokens(trained=recipe.sft.epochs * sum(len(row["input_ids"]) for row in rows))
            else:
                found |= self._round(name, folder)
            batch = recipe.engine.batch_size
            found[f"{name} eval_responses"] = self._sampled(folder / store.EVAL_RESPONSES_FILE, batch)
            found[f"{name} eval_judgements"] = self._judged(folder / store.EVAL_JUDGEMENTS_FILE, batch)
        return found

    def _round(self, name: str, folder: Path) -> dict[str, dict[str, int]]:
        """The stages of a round, its training among them."""
        recipe = self.recipe
        attempts = store.read(folder / store.ATTEMPTS_FILE, Attempt)
        self.prompts |= {prompt.id: prompt.text for prompt in store.read(folder / store.PROMPTS_FILE, Prompt)}
        asked = [ask_for_one_more(recipe.prompts.template, [self.prompts[id] for id in a.examples]) for a in attempts]
        pairs = store.read(folder / store.PAIRS_FILE, Pair)
        rows = data.dpo_rows(self.tokenizer, pairs, recipe.dpo.max_tokens)
        sides = sum(2 * len(r["prompt_ids"]) + len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in rows)
        judges_batch = (recipe.judge.engine or recipe.engine).batch_size
        return {
            f"{name} prompts": _tokens(
                read_tokens(self.tokenizer, asked, ATTEMPTS_AT_ONCE),
                self._written((attempt.text, attempt.finished) for attempt in attempts),
            ),
            f"{name} responses": self._sampled(folder / store.RESPONSES_FILE, recipe.engine.batch_size),
            f"{name} judgements": self._judged(folder / store.JUDGEMENTS_FILE, judges_batch),
            f"train {name}": _tokens(trained=(recipe.dpo.epochs + 1) * sides),
        }

    def assumed(self, tokens: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
        """What a plan assumes, as it was in the rounds of this run; prompts with their chat template."""
        rounds = [name for name in self.run.models() if f"{name} judgements" in tokens]
        counts = [store.read_json(self.run.path / name / store.COUNTS_FILE) for name in rounds]
        prompts = [p.text for name in rounds for p in store.read(self.run.path / name / store.PROMPTS_FILE, Prompt)]

        def counted(part: str, *names: str) -> int:
            return sum(count[part].get(name, 0) for count in counts for name in names or count[part])

        def written(stage: str) -> int:
            return sum(tokens[f"{name} {stage}"]["written_tokens"] for name in rounds)

        found = {
            "prompt_tokens": sum(len(chat.encode_prompt(self.tokenizer, text)) for text in prompts) / len(prompts),
            "response_tokens": written("responses") / counted("responses", "responses"),
            "judgement_tokens": written("judgements") / counted("votes"),
            "accepted": len(prompts) / (counted("prompts") - counted("prompts", "not_needed")),
            "paired": counted("pairs", "pairs") / len(prompts),
        }
        ranked = store.read(self.run.path / store.SEED_FOLDER / store.RANKED_FILE, RankedSet)
        if self.eft:
            found["eft_kept"] = len(self.eft) / sum(len(one.responses) for one in ranked)
        return found

    def _sampled(self, file: Path, batch: int) -> dict[str, int]:
        lines = store.read(file, Responses)
        written = sum(response.num_tokens or 0 for line in lines for response in line.samples)
        return _tokens(read_tokens(self.tokenizer, [line.samples[0].prompt for line in lines], batch), written)

    def _judged(self, file: Path, batch: int) -> dict[str, int]:
        judgements, template = store.read(file, Judgement), self.recipe.judge.template
        prompts = [judge_prompt(template, j.prompt, j.response, j.cut, j.evidence) for j in judgements]
        votes = ((vote.text, vote.fault not in ("truncated", "too_long")) for j in judgements for vote in j.votes)
        return _tokens(read_tokens(self.tokenizer, prompts, batch), self._written(votes))

    def _written(self, texts: Iterable[tuple[str, bool]]) -> int:
        """Tokens of (text, whether it was ended)."""
        return sum(len(chat.encode_example(self.tokenizer, "", text)[1]) - (not ended) for text, ended in texts)


def read_tokens(tokenizer: Any, prompts: Sequence[str], batch: int) -> int:
    """Prompt tokens that the local engine reads where it is asked `batch` prompts at a time."""
    total = 0
    for start in range(0, len(prompts), batch):
        some = {tuple(chat.encode_prompt(tokenizer, prompt)) for prompt in prompts[start : start + batch]}
        common = commonprefix([min(some), max(some)])  # noqa: RUF071 - of tokens, not of a path
        shared = min(len(common), min(map(len, some)) - 1)
        total += sum(map(len, some)) - (shared * (len(some) - 1) if shared > MIN_SHARED else 0)
    return total


def _tokens(read: int = 0, written: int = 0, trained: int = 0) -> dict[str, int]:
    return dict(zip(KINDS, (read, written, trained), strict=True))


def compare(folder: Path, wall_s: float | None = None) -> dict[str, Any]:
    """Predicted and measured, and predicted / measured, by stage and in all; `wall_s` is that of the whole run, if known."""
    run = RunFolder(folder)
    recipe = run.recipe()
    found, counter = plan(recipe), Counter(run)
    seconds = {row["stage"]: row["seconds"] for row in tables(folder)["time"]}
    tokens = counter.stages()
    rows = []
    for stage in found["stages"]:
        name = stage["name"]
        measured = {"seconds": seconds.get(name), **tokens.get(name, {})}
        rows.append({"stage": name, **{key: beside(stage[key], measured.get(key)) for key in ("seconds", *KINDS)}})
    in_both = [row for row in rows if row["seconds"]["measured"] is not None]
    predicted = {row["stage"] for row in rows}
    total = {
        key: beside(*(sum(row[key][side] or 0 for row in in_both) for side in ("predicted", "measured")))
        for key in ("seconds", *KINDS)
    }
    stamp_file = folder / store.STAMP_FILE
    stamp = store.read_json(stamp_file) if stamp_file.is_file() else {}
    return {
        "recipe": recipe.name,
        "planned_for": found["hardware"],
        "threads": torch.get_num_threads(),
        "run": {"commit": stamp.get("git"), "hardware": stamp.get("hardware")},
        "same_machine": stamp["hardware"] == hardware() if stamp else None,
        "assumed": {name: beside(found["assumed"][name], value) for name, value in counter.assumed(tokens).items()},
        "stages": rows,
        "total": total,  # of the stages that are in both
        "stages_not_measured": [row["stage"] for row in rows if row["seconds"]["measured"] is None],
        "stages_not_predicted": {name: s for name, s in seconds.items() if name not in predicted},
        "wall_s": wall_s,
        "outside_stages_s": None if wall_s is None else wall_s - sum(seconds.values()),
        "time_not_predicted": NOT_PREDICTED,
    }


def beside(predicted: float, measured: float | None) -> dict[str, float | None]:
    """Both, and their ratio, which is None where nothing was measured."""
    return {"predicted": predicted, "measured": measured, "ratio": predicted / measured if measured else None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a finished run folder  [default: one is made]")
    parser.add_argument("--recipe", default="micro", help="of the run that is made")
    options = parser.parse_args()
    if options.run:
        write_results("plan", compare(options.run))
        return
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "run"
        wall_s, _ = timed_run(options.recipe, folder)
        write_results("plan", compare(folder, wall_s))


if __name__ == "__main__":
    main()
