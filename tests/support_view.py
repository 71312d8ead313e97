"""A small run as a finished one lies on the disk, with models of no weights, to be looked at."""

from pathlib import Path

from selfreward import store
from selfreward.engines.scripted import ScriptedEngine
from selfreward.judges.votes import make_judgement
from selfreward.pairing import best_vs_worst
from selfreward.prompts import Attempt
from selfreward.recipe import RECIPE_FILE, EngineOptions, Recipe, to_yaml
from selfreward.records import Example, Judgement, Prompt, RankedResponse, RankedSet, Response, Vote, digest
from selfreward.responses import Responses

NUM_SAMPLES = 3
HOSTILE = "<script>alert(1)</script> {{ 7 * 7 }} \x1b[31mred \u202eback \x00 “quoted” 猫"


def prompts_of(num: int) -> list[Prompt]:
    texts = [f"Describe animal number {n}." for n in range(num - 1)] + [f"Say {HOSTILE}"]
    return [Prompt(id=digest("prompt", text), text=text, source="m1") for text in texts]


def sampled(prompt: Prompt, model: str, num: int = NUM_SAMPLES) -> Responses:
    """Answers that name their prompt's number and their place."""
    samples = (
        Response(
            id=digest("response", model, prompt.id, i), prompt_id=prompt.id, prompt=prompt.text,
            text=f"{model} says {word} of: {prompt.text}", model=model, sample=i, num_tokens=5, finished=i < num - 1,
        )
        for i, word in enumerate(("zebra", "yak", "<b>xerus</b>", "wolf", "vole")[:num])
    )  # fmt: skip
    return Responses(id=prompt.id, samples=tuple(samples))


def judged(response: Response, judge: str = "m1") -> Judgement:
    """5 points for the first, 3 for the second, and 1 for the third, of whose votes one cannot be read."""
    points = 5.0 - 2 * response.sample
    votes = [Vote(score=points, fault=None, text=f"Because of {HOSTILE}.\nScore: {points:g}")] * 2
    last = Vote(score=None, fault="unreadable", text="hm") if response.sample == 2 else votes[0]
    return make_judgement(response, [*votes, last], judge)


def praising(options: EngineOptions, model_folder: str | Path) -> ScriptedEngine:
    """An engine that finds everything good, as a recipe names it."""
    return ScriptedEngine(lambda prompt: ["It is good.\nScore: 4"])


def write_run(folder: Path, num_prompts: int = 60, name: str = "looked-at", engine: str = "local") -> Path:
    """A run of one round: seeds, what m1 made of it, and answers of sft, m1 and m2 to held-out prompts."""
    recipe = Recipe.of({
        "name": name, "rounds": 1, "responses": {"num_samples": NUM_SAMPLES}, "prompts": {"num": num_prompts},
        "engine": {"name": engine},
    })  # fmt: skip
    folder.mkdir(parents=True)
    (folder / RECIPE_FILE).write_text(to_yaml(recipe))
    ift = [Example(id=digest("ift", n), prompt=f"Seed {n}?", response="Yes.", source="ift") for n in range(8)]
    responses = tuple(RankedResponse(text=text, rank=rank) for rank, text in enumerate("ab"))
    ranked = [RankedSet(id=f"s{n}", prompt=f"rank {n}", responses=responses) for n in range(4)]
    store.write_once(folder / "seed" / store.IFT_FILE, ift)
    store.write_once(folder / "seed" / store.RANKED_FILE, ranked[:2])
    store.write_once(folder / "seed" / store.EVAL_SEED_FILE, ranked[2:])
    prompts = prompts_of(num_prompts)
    shown = tuple(example.id for example in ift)
    attempts = [
        Attempt(id=digest("attempt", p.id), text=f" {p.text}\n", finished=True, examples=shown) for p in prompts
    ]
    lines = [sampled(prompt, "m1") for prompt in prompts]
    judgements = [judged(one) for line in lines for one in line.samples]
    pairs = best_vs_worst(judgements).pairs
    part = folder / "m2"
    store.append(part / store.ATTEMPTS_FILE, attempts)
    store.write_once(part / store.PROMPTS_FILE, prompts)
    store.append(part / store.RESPONSES_FILE, lines)
    store.append(part / store.JUDGEMENTS_FILE, judgements)
    store.write_once(part / store.PAIRS_FILE, list(pairs))
    lesson = {"method": "dpo", "start": 1, "reference": 1, "num_pairs": len(pairs), "num_examples": 0}
    store.write_json(part / store.LESSON_FILE, lesson)
    score = {"mean": 3.5, "ci95": [3, 4], "n": 30}
    held_out = [
        Prompt(id=digest("prompt", text), text=text, source="test") for text in map("Held out {}.".format, range(30))
    ]
    for model in ("sft", "m1", "m2"):
        (folder / model / store.MODEL_FOLDER).mkdir(parents=True, exist_ok=True)
        asked = held_out if model != "m2" else held_out[::-1]  # of another order, as after a resumed run
        store.append(folder / model / store.EVAL_RESPONSES_FILE, [sampled(prompt, model, 1) for prompt in asked])
        store.write_json(folder / model / store.EVAL_FILE, {"model": model, "capability": {"score": score}})
    run = store.RunFolder(folder)
    run.log(stage="m2 pairs", seconds=1.0, items=num_prompts)
    run.log(model="m2", guard="ties", said=f"much is tied {HOSTILE}", value=0.9, limit=0.85)
    return folder
