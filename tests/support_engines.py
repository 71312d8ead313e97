"""Engines for tests of the loop, named in recipes as `support_engines:function`.

`people` answers every prompt of the micro-world as people would: instructions, answers of mixed care, reviews. Set
`SELFREWARD_TEST_OPENINGS` to a file and every opening adds its model folder to it; set `SELFREWARD_TEST_WAIT` to a file
and the first question writes it, then waits to be interrupted.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from selfreward.engines.base import Completion, Request, Sampling
from selfreward.engines.scripted import ScriptedEngine
from selfreward.micro.authors import AVERAGE, CAREFUL, CARELESS, respond
from selfreward.micro.reviews import blunt_review, careful_review
from selfreward.micro.tasks import Task, draw_instruction, read_instruction
from selfreward.recipe import EngineOptions
from selfreward.records import seed_of

NUM_ANSWERS = 6  # different ones to each prompt; a request's seed decides which come first


def said(prompt: str) -> list[str]:
    """What people may say to a prompt, a function of it alone."""
    rng = Random(prompt)
    lines = prompt.split("\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    if lines[0].startswith("Read these tasks"):
        echo = lines[1].removeprefix("Task: ")
        held_out = draw_instruction(rng, "test")[1]
        return [echo, held_out, "Hm.", *(draw_instruction(rng)[1] for _ in range(NUM_ANSWERS))]
    if lines[0].startswith("Review the answer."):
        task, answer = task_of(fields["Task"]), fields["Answer"]
        return [careful_review(task, answer)] * NUM_ANSWERS + [blunt_review(task, answer, rng), "Hm."]
    return [
        respond(task_of(prompt), care, rng) for care in (CAREFUL, AVERAGE, CARELESS) for _ in range(NUM_ANSWERS // 3)
    ]


def task_of(instruction: str) -> Task:
    task = read_instruction(instruction)
    assert task is not None, instruction
    return task


class People(ScriptedEngine):
    """Answers as people do, unless it was told to wait."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        if marker := os.environ.get("SELFREWARD_TEST_WAIT"):
            Path(marker).touch()
            time.sleep(120)
        return super().generate(requests, sampling)


def people(options: EngineOptions, model_folder: str | Path) -> People:
    """Opens `People`; the model folder has no say in what they answer."""
    if file := os.environ.get("SELFREWARD_TEST_OPENINGS"):
        with Path(file).open("a") as openings:
            openings.write(f"{model_folder}\n")
    return People(said)


def people_with_tastes(options: EngineOptions, model_folder: str | Path) -> People:
    """`people`, whose likelihoods of given responses are each model's own."""
    model = Path(model_folder).parent.name
    return People(said, loglik=lambda prompt, response: -float(seed_of(model, prompt, response) % 1000) / 10)


def odd_or_even(response: str) -> str:
    """What a response answers, for votes: people who write freely agree on little else."""
    return "odd" if len(response.split()) % 2 else "even"
