"""Engines for tests of comparisons, named in recipes as `support_pairwise:function`.

`taste` judges a pair by the word "good": the answer that has it more often is better, the first of equals; pointwise it gives
a point for each. Asked for probabilities it is sure in the same way. `talker` answers a prompt with its last word twice.
`snapshot` is a model in a folder step-N, which says good as often as `SELFREWARD_TEST_GOODS`, `10:1,20:3`, has it; where that is
0 it is no judge any more and always says 4. In another folder it is `taste`. Set `SELFREWARD_TEST_ASKED` to a file and each
prompt asked adds a line to it.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from selfreward.engines.scripted import ScriptedEngine
from selfreward.recipe import EngineOptions

TASTE = ("--set", "engine.name=support_pairwise:taste")


def taste(options: EngineOptions, model_folder: str | Path) -> ScriptedEngine:
    return ScriptedEngine(verdict, token_probs=probabilities)


def talker(options: EngineOptions, model_folder: str | Path) -> ScriptedEngine:
    return ScriptedEngine(lambda prompt: [f"{noted(prompt).split()[-1]} {Path(model_folder).parent.name}"])


def snapshot(options: EngineOptions, model_folder: str | Path) -> ScriptedEngine:
    name = Path(model_folder).name
    if not name.startswith("step-"):
        return taste(options, model_folder)
    goods = dict(one.split(":") for one in os.environ["SELFREWARD_TEST_GOODS"].split(","))
    times = int(goods[name.removeprefix("step-")])

    def said(prompt: str) -> Sequence[str]:
        if "Score: <points>" in prompt or "<response>" in prompt:
            return verdict(prompt) if times else ["Score: 4"]
        return [" ".join([noted(prompt).split()[-1], *["good"] * times])]

    return ScriptedEngine(said)


def noted(prompt: str) -> str:
    if path := os.environ.get("SELFREWARD_TEST_ASKED"):
        with open(path, "a") as file:
            file.write(f"{prompt!r}\n")
    return prompt


def goods(prompt: str) -> tuple[int, int]:
    """How often each answer of a pairwise prompt says good."""
    first, second = (re.search(f"\n<answer-{place}>\n(.*?)\n</answer-{place}>", prompt, re.DOTALL) for place in (1, 2))
    assert first and second, prompt
    return first[1].count("good"), second[1].count("good")


def verdict(prompt: str) -> Sequence[str]:
    noted(prompt)
    if "<answer-1>" not in prompt:
        return [f"Score: {min(5, prompt.count('good'))}"]
    if "unclear" in prompt:
        return ["Hard to say."]
    one, two = goods(prompt)
    return [f"It says it more often.\nBetter: {1 if one >= two else 2}"]


def probabilities(prompt: str, candidates: Sequence[str]) -> Sequence[float]:
    noted(prompt)
    one, two = goods(prompt)
    return (0.5, 0.3) if one > two else (0.2, 0.6) if two > one else (0.4, 0.4)


def outputs(path: Path, texts: dict[str, str], name: str = "m", **fields: str) -> str:
    """Writes a file of outputs, instruction -> output; returns its path."""
    rows = [{"instruction": q, "output": text, "generator": name, **fields} for q, text in texts.items()]
    path.write_text(json.dumps(rows))
    return str(path)


def asked(here: Path) -> int:
    """How many prompts the engines were asked in a folder."""
    path = here / "asked"
    return len(path.read_text().splitlines()) if path.exists() else 0
