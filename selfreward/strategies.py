"""THE place: what a round teaches. One short function per method, and the dict of them all.

A strategy takes a `Round` and returns a `Lesson`. One of a user's own is named in the recipe as
`package.module:function`. `needs` has what a recipe must have for it, docs/strategies.md what each is after, its source
and that source's figures.
"""

from collections.abc import Callable

from selfreward import store
from selfreward.meta_judge import judgement_pairs
from selfreward.named import find
from selfreward.needs import NEEDS
from selfreward.pairing import PAIRINGS, joined, positives
from selfreward.pairing.consistency import ANSWERS, most_vs_least_consistent
from selfreward.pairing.over_time import past_vs_future
from selfreward.pairing.people import human_pairs, person_vs_model
from selfreward.pairing.perturbed import neighbours, ranked_by_making
from selfreward.pairing.rewards import consistency, length_regularised, win_probabilities
from selfreward.pairing.steps import step_vs_step
from selfreward.recipe import Recipe
from selfreward.records import Lesson, Loss
from selfreward.responses import ranked_responses
from selfreward.round import Round
from selfreward.seeds import build_eft

Strategy = Callable[[Round], Lesson]


def self_rewarding(round: Round) -> Lesson:
    """Yuan et al. 2024, arXiv 2401.10020: the model's best response to each of its new prompts against its worst."""
    responses = round.sample(round.new_prompts())
    return round.dpo_lesson(round.pair(round.judge(responses)))


def positives_only(round: Round) -> Lesson:
    """The same paper's ablation (section 3.2): responses that score a perfect 5 join the seeds, M0 is fine-tuned on all."""
    responses = round.sample(round.new_prompts())
    return round.sft_lesson(positives(round.judge(responses)))


def frozen_reward_model(round: Round) -> Lesson:
    """What the paper sets out from (section 1): the same rounds, judged by a reward model on people's rankings, frozen."""
    responses = round.sample(round.new_prompts())
    return round.dpo_lesson(round.pair(round.judge(responses, by="reward_model")))


def rlhf(round: Round) -> Lesson:
    """RLHF, Ouyang et al. 2022, arXiv 2203.02155: samples are rewarded by that model as they are drawn (RLOO, arXiv 2402.14740)."""
    return round.rl_lesson(round.new_prompts())


def sft_only(round: Round) -> Lesson:
    """No feedback: the model of the round reads the human seeds once more."""
    return round.sft_lesson([], start=round.k - 1)


def human_dpo(round: Round) -> Lesson:
    """Rafailov et al. 2023, arXiv 2305.18290: DPO on responses that people ranked, the same in every round."""
    return round.dpo_lesson(human_pairs(round.seeds.ranked))


def spin(round: Round) -> Lesson:
    """SPIN, Chen et al. 2024, arXiv 2401.01335: people's responses against the model's own, those of earlier rounds kept."""
    responses = round.sample(round.seeds.prompts, num_samples=1)
    return round.dpo_lesson(person_vs_model(round.seeds.ift, responses), replay=1.0)


def meta_rewarding(round: Round) -> Lesson:
    """Meta-Rewarding, Wu et al. 2024, arXiv 2407.19594: the judge is taught as well, by its best judgements against its worst."""
    judgements = round.judge(round.sample(round.new_prompts()))
    return round.dpo_lesson(joined(round.pair(judgements), judgement_pairs(round, judgements).pairs, "of_judgements"))


def consistency_regularised(round: Round) -> Lesson:
    """CREAM, Wang et al. 2024, arXiv 2410.12735: likelihood ranks, and the less the model before agrees, the less it counts."""
    responses = round.sample(round.new_prompts())
    rewards = round.implicit(responses, policy=round.k - 1, base=0)
    before = round.implicit(responses, policy=round.before, base=0)
    return round.dpo_lesson(round.pair(rewards), Loss(consistency=consistency(rewards, before)))


def sppo(round: Round) -> Lesson:
    """SPPO, Wu et al. 2024, arXiv 2405.00675: log-ratios are drawn to each response's probability to win against its like."""
    judgements = round.judge(round.sample(round.new_prompts()))
    are_wins = round.recipe.judge.name == "pairwise"
    return round.dpo_lesson(round.pair(win_probabilities(judgements, are_wins)), Loss(kind="sppo"))


def irpo(round: Round) -> Lesson:
    """IRPO, Pang et al. 2024, arXiv 2404.19733: best against worst, and the best is learnt by heart besides."""
    judgements = round.judge(round.sample(round.new_prompts()))
    return round.dpo_lesson(round.pair(judgements), Loss(nll=1.0))


def self_consistency(round: Round) -> Lesson:
    """ScPO, Prasad et al. 2024, arXiv 2411.04109: the answer most often given against the rarest, weighed by the votes."""
    responses = round.sample(round.new_prompts())
    answer = find(round.recipe.pairs.answer, ANSWERS, "pairs.answer")
    pairing = most_vs_least_consistent(responses, answer, least_share=0.5, seed=round.recipe.seed)
    return round.dpo_lesson(pairing, Loss(nll=1.0, weighted=True))


def dice(round: Round) -> Lesson:
    """DICE, Chen et al. 2024, arXiv 2406.09760: a model taught by people's pairs ranks by its own implicit reward, length aside."""
    people = human_pairs(round.seeds.ranked)
    if round.k == 2:  # an implicit reward comes of preferences
        return round.dpo_lesson(people)
    rewards = round.implicit(round.sample(round.new_prompts()), policy=round.k - 1, base=round.before)
    regular, penalty = length_regularised(rewards)
    round.log(length_penalty=penalty)
    pairing = round.pair(regular)
    return round.dpo_lesson(joined(pairing, people.pairs[: len(pairing.pairs)], "from_people"))


def temporal(round: Round) -> Lesson:
    """Temporal Self-Rewarding, 2025, arXiv 2508.06026: the past may give the worst response, a model one step ahead the best."""
    prompts = round.new_prompts()
    present = round.sample(prompts)
    ahead = round.ahead(round.pair(round.judge(present)))
    past, future = round.sample(prompts, by=-1), round.sample(prompts, by=ahead)
    judgements = round.judge([*present, *past, *future])
    return round.dpo_lesson(past_vs_future(judgements, past, future, round.recipe.pairs, round.recipe.seed))


def self_taught_evaluator(round: Round) -> Lesson:
    """Self-Taught Evaluator, Wang et al. 2024, arXiv 2408.02666: judging is learnt from answers to a slightly other instruction."""
    prompts = round.new_prompts()
    responses = round.sample(prompts)
    nearest = neighbours([prompt.text for prompt in prompts])
    sets, round.counts["self_ranked"] = ranked_by_making(prompts, responses, nearest)
    round.keep(store.SELF_RANKED_FILE, sets)
    judge, eft = round.recipe.judge, round.recipe.eft
    examples, round.counts["eft"] = build_eft(
        sets, round.judge(ranked_responses(sets)), judge.template, eft.max_share, eft.min_words
    )
    return round.sft_lesson(examples)


def process_based(round: Round) -> Lesson:
    """Process-based Self-Rewarding, 2025, arXiv 2503.03746: the better next step against the worse, after the same beginning."""
    judgements = round.judge(round.sample(round.new_prompts()))
    return round.dpo_lesson(step_vs_step(judgements, round.recipe.pairs.min_margin))


STRATEGIES: dict[str, Strategy] = {
    strategy.__name__: strategy
    for strategy in (
        self_rewarding, positives_only, frozen_reward_model, rlhf, sft_only, human_dpo, spin, meta_rewarding,
        consistency_regularised, sppo, irpo, self_consistency, dice, temporal, self_taught_evaluator, process_based,
    )
}  # fmt: skip


def check_strategy(recipe: Recipe) -> Strategy:
    """The strategy that a recipe names; BadInput where there is none, or the recipe lacks what it needs."""
    strategy = find(recipe.strategy, STRATEGIES, "strategy")
    for need in NEEDS.get(recipe.strategy, ()):
        need(recipe)
    find(recipe.pairs.answer, ANSWERS, "pairs.answer")
    find(recipe.pairs.name, PAIRINGS, "pairs.name")
    return strategy
