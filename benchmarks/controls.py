"""Judges that only a benchmark may use: chance, and the micro-world's oracle. A recipe names them as module:function."""

from collections.abc import Sequence
from random import Random

from selfreward.engines.base import Engine
from selfreward.judges.votes import make_judgement
from selfreward.micro import oracle
from selfreward.micro.tasks import read_instruction
from selfreward.recipe import Judge
from selfreward.records import Judgement, Response, Vote, seed_of


def random_judge(
    engine: Engine, responses: Sequence[Response], settings: Judge, judge_name: str, seed: int
) -> list[Judgement]:
    """Votes drawn from 0 to 5 at random: what the loop gains without any judgement."""
    judgements = []
    for response in responses:
        rng = Random(seed_of(seed, "random judge", judge_name, response.id))
        votes = [Vote(score=float(rng.randint(0, 5)), fault=None, text="chance") for _ in range(settings.votes)]
        judgements.append(make_judgement(response, votes, judge_name, settings.quorum))
    return judgements


def oracle_judge(
    engine: Engine, responses: Sequence[Response], settings: Judge, judge_name: str, seed: int
) -> list[Judgement]:
    """The truth: an upper bound for any judge. A prompt that is no instruction leaves its responses unscored."""
    judgements = []
    for response in responses:
        task = read_instruction(response.prompt)
        if task is None:
            vote = Vote(score=None, fault="unreadable", text="no instruction of the micro-world")
        else:
            vote = Vote(score=float(oracle.score(task, response.text)), fault=None, text="truth")
        judgements.append(make_judgement(response, [vote], judge_name, settings.quorum))
    return judgements
