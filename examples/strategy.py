"""A strategy of your own: the best response to each prompt against the next best, which is harder to tell from it.

    selfreward run micro-fast --set strategy=examples.strategy:best_vs_second --to runs/second

A strategy takes a round and returns a lesson. The round has the verbs (`new_prompts`, `sample`, `judge`, `dpo_lesson` ...); each
makes only what its file in the run's folder does not hold yet, so a run with this strategy goes on after any interruption.
"""

from selfreward.pairing import Pairing, by_prompt, make_pair
from selfreward.records import Lesson
from selfreward.round import Round


def best_vs_second(round: Round) -> Lesson:
    """DPO on the two best responses to each prompt; prompts whose two best have the same score are dropped, counted."""
    judgements = round.judge(round.sample(round.new_prompts()))
    pairs, counts = [], {"prompts": 0, "pairs": 0, "tie": 0}
    for group in by_prompt(judgements):
        counts["prompts"] += 1
        scored = sorted((one for one in group if one.score is not None), key=lambda one: one.score or 0.0, reverse=True)
        if len(scored) < 2 or scored[0].score == scored[1].score:
            counts["tie"] += 1
            continue
        sides = [(one.response_id, one.response, one.score or 0.0) for one in scored[:2]]
        pairs.append(make_pair((group[0].prompt_id, group[0].prompt), *sides))
    counts["pairs"] = len(pairs)
    return round.dpo_lesson(Pairing(pairs, counts))
