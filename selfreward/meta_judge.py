"""The judge judged: pairs of judgements that a round gives (Wu et al. 2024, arXiv 2407.19594, section 2.2).

The model of the round compares its judgements of one response two by two, in both orders. A model too small to compare
judgements can do without reading them (`meta_judge.read: consensus`): the one whose points are nearer to the mean of all
votes on the response is the better.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

import numpy as np

from selfreward import store
from selfreward.judges import pairwise
from selfreward.judges.shown import judge_prompt
from selfreward.pairing import Pairing
from selfreward.pairing.judging import debiased, judgement_pair, least_agreed, readable_votes
from selfreward.records import Judgement, Pair, Vote
from selfreward.round import Round

Comparisons = dict[tuple[int, int], pairwise.Pair]  # by the places of two votes


def judgement_pairs(round: Round, judgements: Sequence[Judgement]) -> Pairing:
    """One pair for each prompt where the judge was of several minds, if the comparisons of its judgements tell."""
    doubtful = least_agreed(judgements)
    template = round.recipe.judge.template
    prompts = [judge_prompt(template, one.prompt, one.response, one.cut, one.evidence) for one in doubtful]
    asked = [_comparisons(prompt, readable_votes(one)) for prompt, one in zip(prompts, doubtful, strict=True)]
    held = {meeting.id: meeting for meeting in _meetings(round, doubtful, asked)}
    wins = [_wins(len(readable_votes(one)), some, held) for one, some in zip(doubtful, asked, strict=True)]
    in_first, in_second = (float(sum(battles[place].sum() for battles in wins)) for place in (0, 1))
    counts: Counter[str] = Counter({"prompts": len(doubtful), "pairs": 0, "tie": 0, "over_long": 0})
    pairs: list[Pair] = []
    for one, prompt, battles in zip(doubtful, prompts, wins, strict=True):
        fair = debiased(battles[0], battles[1], in_first, in_second)
        outcome = judgement_pair(one, readable_votes(one), fair, prompt)
        if isinstance(outcome, Pair):
            pairs.append(outcome)
        else:
            counts[outcome] += 1
    counts["pairs"] = len(pairs)
    round.counts["meta_judge"] = dict(counts) | {
        "won_in_first_place": int(in_first),
        "won_in_second_place": int(in_second),
    }
    return Pairing(pairs, dict(counts))


def _comparisons(prompt: str, votes: Sequence[Vote]) -> Comparisons:
    """What is to be compared of one judgement."""
    return {
        (i, j): pairwise.Pair(prompt, votes[i].text, votes[j].text) for i, j in combinations(range(len(votes)), 2)
    }  # fmt: skip


def _meetings(round: Round, doubtful: Sequence[Judgement], asked: Sequence[Comparisons]) -> Sequence[pairwise.Meeting]:
    """The comparisons made, each once, in a file of the round."""
    settings = round.recipe.meta_judge
    pairs = list({pair.id: pair for some in asked for pair in some.values()}.values())
    distance = {
        (pair.id, vote.text): abs((vote.score or 0.0) - mean)
        for one, some, mean in zip(doubtful, asked, map(_mean, doubtful), strict=True)
        for pair in some.values()
        for vote in readable_votes(one)
    }

    def nearer(pair: pairwise.Pair) -> pairwise.Winner:
        first, second = distance[pair.id, pair.answer_1], distance[pair.id, pair.answer_2]
        return 0 if first == second else 1 if first < second else 2

    def make(batch: list[pairwise.Pair]) -> list[pairwise.Meeting]:
        if settings.read == "consensus":
            return pairwise.compare_with(nearer, batch)
        return pairwise.compare(round.engine(round.k - 1), batch, settings.template, settings.read)

    return round.fill(store.META_JUDGEMENTS_FILE, pairwise.Meeting, pairs, lambda pair: pair.id, make)


def _mean(judgement: Judgement) -> float:
    """Of the readable votes, also where they are too few for a score."""
    return fmean(vote.score for vote in judgement.votes if vote.score is not None)


def _wins(num: int, asked: Comparisons, held: dict[str, pairwise.Meeting]) -> np.ndarray:
    """Wins (2, num, num): how often vote i won against vote j in the first place and in the second."""
    wins = np.zeros((2, num, num))
    for (i, j), pair in asked.items():
        for verdict in held[pair.id].verdicts:
            if verdict.winner:
                won, lost = (i, j) if verdict.winner == 1 else (j, i)
                was_second = (verdict.winner == 1) != (verdict.order == 0)
                wins[int(was_second), won, lost] += 1
    return wins
