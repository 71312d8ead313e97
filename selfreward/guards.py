"""What a run watches itself for (`recipe.guards`): pure functions of what it made, each the alarms that it gives reason for.

An alarm is kept in the run's metrics, said on stderr, and ends the run where the recipe says so. Its sentence is for a
person; what it was computed from is in the files of the round.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from statistics import fmean

from selfreward.errors import StageFailed
from selfreward.pairing import by_prompt
from selfreward.progress import Log
from selfreward.recipe import Guards
from selfreward.records import Judgement, Response
from selfreward.statistics import entropy, prompt_means


@dataclass(frozen=True)
class Alarm:
    """A limit that was passed."""

    guard: str  # a field of `Guards`
    said: str  # what is the matter, as a part of a sentence
    value: float  # in the unit of the limit


def judge_alarms(judgements: Sequence[Judgement], guards: Guards) -> list[Alarm]:
    """What is the matter with a judge, by its judgements of one round.

    Shares of ties are means over prompts of each prompt's pairs of scored responses; nothing is said of what there is none of.
    """
    votes: Counter[float | None] = Counter()
    scores: Counter[float] = Counter()
    ties: list[float] = []  # of each prompt
    for group in by_prompt(judgements):
        votes.update(vote.score for judgement in group for vote in judgement.votes)
        scored = [judgement.score for judgement in group if judgement.score is not None]
        scores.update(scored)
        ties += prompt_means([[a == b for a, b in combinations(scored, 2)]])
    readable = {score: count for score, count in votes.items() if score is not None}
    alarms = []
    if votes and (share := sum(readable.values()) / votes.total()) < guards.readable.limit:
        alarms.append(Alarm("readable", f"only {share:.0%} of the votes could be read", share))
    if ties and (share := fmean(ties)) > guards.ties.limit:
        alarms.append(Alarm("ties", f"{share:.0%} of the pairs of responses to a prompt are tied", share))
    if readable:
        score, count = min(readable.items(), key=lambda item: (-item[1], item[0]))
        if (share := count / sum(readable.values())) > guards.one_score.limit:
            alarms.append(Alarm("one_score", f"{share:.0%} of the votes say {score:g}", share))
    if scores and (bits := entropy(scores.values())) < guards.entropy.limit:
        alarms.append(Alarm("entropy", f"the scores tell little apart: their entropy is {bits:.2f} bits", bits))
    return alarms


def response_alarms(responses: Sequence[Response], chars_before: float | None, guards: Guards) -> list[Alarm]:
    """What is the matter with the responses of one round, those to one prompt in a row.

    `chars_before` is the mean length of those before, None for none.
    """
    chars = repeated = 0
    for _, group in groupby(responses, key=lambda response: response.prompt_id):
        texts = [response.text for response in group]
        chars += sum(map(len, texts))
        repeated += len(texts) - len({" ".join(text.split()) for text in texts})
    alarms = []
    if chars_before and responses:
        times = chars / len(responses) / chars_before
        if not 1 / guards.length.limit <= times <= guards.length.limit:
            alarms.append(Alarm("length", f"the responses are {times:.2g} times as long as those before", times))
    if responses and (share := repeated / len(responses)) > guards.duplicates.limit:
        what = f"{share:.0%} of the responses repeat another to their prompt"
        alarms.append(Alarm("duplicates", what, share))
    return alarms


def pair_alarms(num_pairs: int, num_prompts: int, guards: Guards) -> list[Alarm]:
    """What is the matter with the pairs that a round was left with."""
    if num_prompts and (share := num_pairs / num_prompts) < guards.pairs.limit:
        return [Alarm("pairs", f"{num_prompts} prompts left {num_pairs} pairs to learn from", share)]
    return []


def training_alarms(step: Mapping[str, float], first_loss: float, beta: float, guards: Guards) -> list[Alarm]:
    """What is the matter with a training, by what it logs at one of its steps.

    TRL's `rewards/chosen` is beta times what the log-prob of the chosen responses has gained over the reference's.
    """
    alarms = []
    if (rise := step.get("loss", first_loss) - first_loss) > guards.loss.limit:
        alarms.append(Alarm("loss", f"the loss is {step['loss']:.3g}, and was {first_loss:.3g} at first", rise))
    gained = {side: step.get(f"rewards/{side}", 0.0) / beta for side in ("chosen", "rejected")}
    before = step.get("logps/chosen", 0.0) - gained["chosen"]
    if before < 0 and max(gained.values()) < 0 and (share := gained["chosen"] / before) > guards.likelihood.limit:
        what = f"the log-probs of chosen and rejected responses both fall, of the chosen from {before:.4g} to "
        alarms.append(Alarm("likelihood", f"{what}{step['logps/chosen']:.4g}", share))
    return alarms


def sound(alarms: Sequence[Alarm], guards: Guards, model: str, log: Log | None) -> None:
    """Says alarms on stderr and logs them; StageFailed for one that the recipe lets stop the run."""
    for alarm in alarms:
        guard = getattr(guards, alarm.guard)
        if guard.action == "off":
            continue
        if log is not None:
            log(model=model, guard=alarm.guard, said=alarm.said, value=alarm.value, limit=guard.limit)
        if guard.action == "stop":
            todo = f"mend its cause, or go on with guards.{alarm.guard}.action=warn"
            raise StageFailed(alarm.said, model, todo)
        print(f"warning: {model}: {alarm.said} (guards.{alarm.guard})", file=sys.stderr, flush=True)
