"""A quick look at a run, in cells for an editor that knows `# %%`; or a script: python examples/quick_look.py [RUN].

Without a run it makes the smallest there is, in a minute or two, with nothing downloaded.
"""

# %%
import sys
from pathlib import Path
from statistics import fmean

import selfreward as sr

place = Path(sys.argv[1]) if len(sys.argv) == 2 else Path("runs/micro-fast")
run = sr.load_run(place) if place.exists() else sr.run("micro-fast", to=place)
print(run)

# %% The second round: M1 wrote prompts, answered each several times, and judged its own answers.
print(f"{len(run.prompts(2))} prompts, {len(run.responses(2))} responses, {len(run.pairs(2))} pairs")
judgement = run.judgements(2)[0]
print(judgement.prompt, "\n ", judgement.response)
print("votes:", [vote.score for vote in judgement.votes], " their mean:", judgement.score)

# %% What M2 learned from: the pair with the widest margin, and how the margins lie.
pair = max(run.pairs(2), key=lambda pair: pair.margin)
print(pair.prompt)
print(f"  chosen   {pair.chosen_score:.2f}  {pair.chosen}")
print(f"  rejected {pair.rejected_score:.2f}  {pair.rejected}")
print(f"mean margin {fmean(pair.margin for pair in run.pairs(2)):.2f} points")

# %% How good the models are: held-out prompts, scored by the micro-world's oracle; intervals are at 95 %.
for row in run.tables()["summary"]:
    print(row["model"], row["score"])
print("M2's readable votes:", run.eval("m2")["judge_health"]["readable"]["value"])

# %% Ask them: the newest model of a run answers, and any model of it judges.
prompt = "Name some animals. Give exactly 3 items."
answer = sr.ask(run, prompt)
print(answer)
for model in ("m1", "m3"):
    print(model, "gives", sr.judge(run.path / model, prompt, answer, votes=3).score, "of 5")

# %% Before another run: what it would take, and whether this one is whole.
wanted = sr.load_recipe("micro-fast", set={"rounds": 3, "strategy": "positives_only"})
print(f"{sr.plan(wanted)['total']['seconds']:.0f} s")
print("problems:", sr.verify(run)["problems"])
