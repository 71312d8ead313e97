"""The stages of a run, each priced by a short formula of recipe, shape and hardware; docs/plan.md writes them out.

A stage takes the greater of its arithmetic and its memory traffic, both at the share of the peak that good systems reach,
plus a price for every operation that is started, which is what binds a small model.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from selfreward import store
from selfreward.evaluation.pinned import TEMPLATE as PAIRWISE_TEMPLATE
from selfreward.judges.shown import judge_prompt
from selfreward.planning.hardware import Hardware
from selfreward.planning.shape import adapter_parameters
from selfreward.recipe import EngineOptions, Recipe, Shape
from selfreward.recipe.round import GROUNDED
from selfreward.templates import render
from selfreward.training.processes import splits_weights

TRAIN_EFFICIENCY, GENERATE_EFFICIENCY = 0.40, 0.45  # shares of the peak
OPS_FORWARD, OPS_TRAIN = 30, 110  # operations started per layer: a forward; a forward, its backward and the optimiser
TOKENS_PER_WORD = 1.3
QLORA_BYTES = 0.55  # of a weight in 4-bit NormalFloat, its scales quantised as well
ENGINES_HERE = ("local", "vllm", "ray")  # those that compute on the hardware of the plan
PRICED = ("self_rewarding", "sppo", "irpo", "process_based", "frozen_reward_model", "rlhf")  # strategies
JUDGES_UNPRICED = ("pairwise", "implicit", "ensemble")


@dataclass(frozen=True)
class Stage:
    """A stage of a run, named as in its metrics."""

    name: str
    read_tokens: float  # prompt tokens that are prefilled
    written_tokens: float  # sampled
    trained_tokens: float  # read by training, all epochs, reference included
    seconds: float
    memory_bytes: float  # on each device, at the peak
    elsewhere: bool = False  # by a judge on other hardware than the plan's: tokens alone are known


@dataclass(frozen=True)
class Estimator:
    """The formulas, bound to a recipe, a shape and a device."""

    recipe: Recipe  # of the run, or of one of its rounds
    shape: Shape
    hardware: Hardware

    def stages(self) -> list[Stage]:
        """All stages in the order in which they run."""
        recipe, assumed = self.recipe, self.recipe.plan
        prompt, response, judgement = assumed.prompt_tokens, assumed.response_tokens, assumed.judgement_tokens
        eft_responses = recipe.seeds.num_eft_prompts * recipe.seeds.num_ranked_responses
        num_eft = round(assumed.eft_kept * eft_responses)
        ift_row, eft_row = prompt + response, self._rubric + prompt + response + self._evidence + judgement
        sft_tokens = recipe.seeds.num_ift * ift_row
        found = [self._sft("sft", recipe.seeds.num_ift, sft_tokens), *self._measured("sft")]
        if num_eft:
            found += [self._judging("seed eft_judgements", eft_responses, recipe.eft.attempts, "votes")]
        found += [
            self._sft("m1", recipe.seeds.num_ift + num_eft, sft_tokens + num_eft * eft_row),
            *self._measured("m1"),
        ]
        rewarded = [k for k in range(2, recipe.rounds + 2) if _wants_a_reward_model(recipe.of_round(k))]
        for k in range(2, recipe.rounds + 2):
            found += replace(self, recipe=recipe.of_round(k))._round(k, k in rewarded[:1])
            found += self._measured(store.model_name(k))  # as the recipe has it for all models
        return found

    def _round(self, k: int, makes_reward_model: bool) -> list[Stage]:
        """What makes M_k by the recipe of its round; as self_rewarding, but for the strategies that are priced otherwise."""
        recipe, assumed = self.recipe, self.recipe.plan
        name, num, samples = store.model_name(k), recipe.prompts.num, recipe.responses.num_samples
        prompt, response = assumed.prompt_tokens, assumed.response_tokens
        shots = recipe.prompts.shots_seed + recipe.prompts.shots_generated
        found = [self._generating(f"{name} prompts", math.ceil(num / assumed.accepted), 1, 0, shots * prompt, prompt)]
        if recipe.strategy == "rlhf":
            return [*found, *(self._reward_model() if makes_reward_model else ()), self._rl(name, num)]
        found += [self._generating(f"{name} responses", num, samples, 0, prompt, response)]
        judge = recipe.judge
        if _wants_a_reward_model(recipe):
            found += self._reward_model() if makes_reward_model else []
            found += [self._rewarding(f"{name} judgements", num * samples)]
        else:
            found += [self._judging(f"{name} judgements", num * samples, judge.votes, judge.read, judge.engine)]
        return [*found, self._dpo(name, round(num * assumed.paired), prompt + response), *self._stopped(name)]

    def _reward_model(self) -> list[Stage]:
        """What the first round that wants a reward model makes: it is trained on all pairs of each set, and measured."""
        seeds, settings, name = self.recipe.seeds, self.recipe.reward_model, store.REWARD_MODEL_FOLDER
        pairs = seeds.num_eft_prompts * math.comb(seeds.num_ranked_responses, 2)
        tokens = 2 * pairs * (self.recipe.plan.prompt_tokens + self.recipe.plan.response_tokens)
        measured = self.recipe.evaluation.num_ranked_sets * seeds.num_ranked_responses
        return [
            self._training(name, pairs, tokens, settings.epochs, settings.batch, reference_tokens=0, sides=2),
            self._rewarding(f"{name} eval_judgements", measured),
        ]

    def _rewarding(self, name: str, responses: int) -> Stage:
        """Responses that a reward model reads."""
        return self._generating(
            name, responses, 1, 0, self.recipe.plan.prompt_tokens + self.recipe.plan.response_tokens, 0
        )

    def _rl(self, name: str, num: int) -> Stage:
        """Each prompt sampled, read by reward model, reference and policy, and learnt from, in every epoch; one stage."""
        recipe, assumed = self.recipe, self.recipe.plan
        settings, prompt, response = recipe.rl, assumed.prompt_tokens, assumed.response_tokens
        rows = num * settings.epochs * settings.num_samples
        sampled = self._generating(
            name, num * settings.epochs, settings.num_samples, 0, prompt, response, settings.batch
        )
        read = self._rewarding(name, 2 * rows)
        tokens, batch = rows * (prompt + response), settings.batch * settings.num_samples
        trained = self._training(name, rows, tokens, 1, batch, reference_tokens=tokens, sides=1)
        return replace(
            trained,
            read_tokens=sampled.read_tokens + read.read_tokens,
            written_tokens=sampled.written_tokens,
            seconds=sampled.seconds + read.seconds + trained.seconds,
            memory_bytes=sampled.memory_bytes + trained.memory_bytes,
        )

    @property
    def num_snapshots(self) -> int:
        """Of one round's training, the last included; 0 where it is not stopped early."""
        recipe, early_stopping = self.recipe, self.recipe.training.early_stopping
        if early_stopping is None:
            return 0
        pairs = round(recipe.prompts.num * recipe.plan.paired)
        return math.ceil(recipe.dpo.epochs * math.ceil(pairs / recipe.dpo.batch) / early_stopping.every)

    @property
    def trained_parameters(self) -> float:
        """Those that have a gradient and two moments: all of the model's, or its adapter's."""
        adapter = self.recipe.adapter
        return self.shape.parameters if adapter.kind == "none" else adapter_parameters(self.shape, adapter.rank)

    @property
    def _rubric(self) -> int:
        """Tokens of the judge prompt without instruction and response."""
        words = judge_prompt(self.recipe.judge.template, "", "").split()
        return round(TOKENS_PER_WORD * len(words))

    @property
    def _evidence(self) -> int:
        """Tokens of what a grounded judge is shown beside a response."""
        return self.recipe.plan.evidence_tokens if self.recipe.judge.own_name == GROUNDED else 0

    def _stopped(self, name: str) -> list[Stage]:
        """What the snapshots of a training are asked, if all of them are looked at."""
        recipe, assumed, snapshots = self.recipe, self.recipe.plan, self.num_snapshots
        early_stopping = recipe.training.early_stopping
        if early_stopping is None:
            return []
        if early_stopping.by == "health":
            ranked = snapshots * early_stopping.prompts * recipe.seeds.num_ranked_responses
            return [self._judging(f"{name} validation_judgements", ranked, recipe.evaluation.votes, recipe.judge.read)]
        if snapshots < 2:  # nothing to compare
            return []
        num, prompt, response = snapshots * early_stopping.prompts, assumed.prompt_tokens, assumed.response_tokens
        answers = self._generating(f"{name} validation_responses", num, 1, 0, prompt, response)
        judge = recipe.judge
        if early_stopping.by == "scores":
            return [
                answers,
                self._judging(f"{name} validation_judgements", num, judge.votes, judge.read, judge.engine),
            ]
        num -= early_stopping.prompts
        return [answers, self._comparing(f"{name} validation_meetings", num, judge.engine)]

    def _measured(self, name: str) -> list[Stage]:
        """The evaluation of one model."""
        assumed, wanted = self.recipe.plan, self.recipe.evaluation
        ranked = wanted.num_ranked_sets * self.recipe.seeds.num_ranked_responses
        judged = self._judging(f"{name} eval_judgements", ranked, wanted.votes, self.recipe.judge.read)
        held_out = wanted.num_prompts if self.recipe.seeds.is_micro else min(wanted.num_prompts, wanted.num_ranked_sets)
        size = (held_out, wanted.num_samples, 0, assumed.prompt_tokens, assumed.response_tokens)
        return [self._generating(f"{name} eval_responses", *size), judged]

    def _judging(
        self, name: str, responses: int, votes: int, read: Literal["votes", "expected", "direct"],
        engine: EngineOptions | None = None,
    ) -> Stage:  # fmt: skip
        """Judgements, by `engine` where one is given; how points are read decides what is written and read."""
        assumed = self.recipe.plan
        shared, own = self._rubric, assumed.prompt_tokens + assumed.response_tokens + self._evidence
        elsewhere = engine is not None and engine.name not in ENGINES_HERE
        if elsewhere:  # a server reads, and charges, the rubric with every prompt
            shared, own = 0, shared + own
        written, batch = assumed.judgement_tokens, (engine or self.recipe.engine).batch_size
        if read == "direct":
            found = self._generating(name, responses, 1, shared, own, 0, batch)
        else:
            found = self._generating(name, responses, votes, shared, own, written, batch)
        if read == "expected":  # every judgement is read again, up to its points
            again = self._generating(name, responses * votes, 1, shared, own + written, 0, batch)
            found = replace(
                found,
                read_tokens=found.read_tokens + again.read_tokens,
                seconds=found.seconds + again.seconds,
                memory_bytes=max(found.memory_bytes, again.memory_bytes),
            )
        return _elsewhere(found) if elsewhere else found

    def _comparing(self, name: str, pairs: int, engine: EngineOptions | None) -> Stage:
        """Verdicts on pairs of responses in both orders, each as long as a judgement, by `engine` where one is given."""
        assumed = self.recipe.plan
        words = render("pairwise", PAIRWISE_TEMPLATE, prompt="", first="", second="").split()
        own = round(TOKENS_PER_WORD * len(words)) + assumed.prompt_tokens + 2 * assumed.response_tokens
        batch = 2 * (engine or self.recipe.engine).batch_size
        found = self._generating(name, 2 * pairs, 1, 0, own, assumed.judgement_tokens, batch)
        return _elsewhere(found) if engine is not None and engine.name not in ENGINES_HERE else found

    def _generating(
        self, name: str, num: int, samples: int, shared: int, own: int, written: int, batch: int | None = None
    ) -> Stage:
        """`num` prompts of `own` tokens behind `shared` ones that are read once in a batch, `samples` answers to each."""
        s, h, devices = self.shape, self.hardware, self.recipe.plan.devices
        at_once = min(num, batch or self.recipe.engine.batch_size)
        rows, batches, context = at_once * samples, math.ceil(num / at_once), shared + own + written / 2
        kv_bytes = 2 * s.layers * s.kv_width * h.weight_bytes  # of one token
        read = num * own + batches * shared
        flops_read = read * (2 * s.parameters + 2 * s.layers * s.width * (shared + own))
        flops_step = rows * (2 * s.parameters + 4 * s.layers * s.width * context)
        bytes_step = s.parameters * h.weight_bytes + rows * context * kv_bytes
        rate = GENERATE_EFFICIENCY * devices
        step = max(bytes_step / h.bandwidth, flops_step / h.flops) / rate + s.layers * OPS_FORWARD * h.op_s
        seconds = flops_read / h.flops / rate + batches * written * step
        held = s.parameters * h.weight_bytes + rows * ((shared + own + written) * kv_bytes + 4 * s.vocabulary)
        return Stage(name, read, num * samples * written, 0, seconds, held / devices)

    def _sft(self, name: str, rows: int, tokens: int) -> Stage:
        settings = self.recipe.sft
        return self._training(name, rows, tokens, settings.epochs, settings.batch, reference_tokens=0, sides=1)

    def _dpo(self, name: str, pairs: int, row: int) -> Stage:
        settings, tokens = self.recipe.dpo, 2 * pairs * row
        return self._training(name, pairs, tokens, settings.epochs, settings.batch, reference_tokens=tokens, sides=2)

    def _training(
        self, name: str, rows: int, tokens: int, epochs: int, batch: int, reference_tokens: int, sides: int
    ) -> Stage:
        """`epochs` over `rows` of `tokens` in all; a reference model reads `reference_tokens` once before."""
        s, h, training = self.shape, self.hardware, self.recipe.training
        sharing = 1 if h.is_gpu else training.processes  # processes on one device
        length = tokens / max(1, rows) / sides
        attention = 2 * s.layers * s.width * length  # of a token in a forward, causal
        forward = 2 * s.parameters + attention
        # Backward: a gradient for every activation and one for every weight, each as dear as a forward; frozen weights have none.
        backward = (2 if self._frozen_bytes else 4) * s.parameters + 2 * attention
        recomputed = forward if h.is_gpu else 0  # gradient checkpointing runs the forward twice
        flops = epochs * tokens * (forward + backward + recomputed) + reference_tokens * forward
        steps = epochs * math.ceil(rows / batch)
        rate = h.flops * TRAIN_EFFICIENCY * training.processes / sharing
        seconds = flops / rate + steps * s.layers * OPS_TRAIN * h.op_s
        # A process's part of a batch is cut into smaller ones until one fits, down to a row.
        part = math.ceil(batch / training.processes)
        in_process = min(part, training.device_batch or 1) * sides * length  # tokens
        # One state a layer (checkpointing) or a dozen; logits and their gradients.
        kept = s.layers * s.width * (2 if h.is_gpu else 12 * 4) + 8 * s.vocabulary
        # float32 weights, gradients and two moments of what is trained
        held = self._frozen_bytes * s.parameters + 16 * self.trained_parameters
        if splits_weights(training):  # and gathers a layer to compute it
            held = held / training.processes + h.weight_bytes * s.parameters / s.layers
        memory = (held + in_process * kept) * sharing
        return Stage(f"train {name}", 0, 0, epochs * tokens + reference_tokens, seconds, memory)

    @property
    def _frozen_bytes(self) -> float:
        """Bytes of a weight that is held beside an adapter; 0 where all weights are trained."""
        return {"none": 0.0, "lora": float(self.hardware.weight_bytes), "qlora": QLORA_BYTES}[self.recipe.adapter.kind]


def priced_alike(recipe: Recipe) -> list[str]:
    """Strategies and judges of the rounds whose own stages nobody has a formula for: they are priced as self_rewarding's."""
    rounds = [recipe.of_round(k) for k in range(2, recipe.rounds + 2)]
    names = [one.strategy for one in rounds if one.strategy not in PRICED]
    return list(dict.fromkeys([*names, *(one.judge.name for one in rounds if one.judge.name in JUDGES_UNPRICED)]))


def _wants_a_reward_model(recipe: Recipe) -> bool:
    return recipe.judge.name == "reward_model" or recipe.strategy in ("frozen_reward_model", "rlhf")


def _elsewhere(stage: Stage) -> Stage:
    """A stage that other hardware computes."""
    return replace(stage, seconds=0.0, memory_bytes=0.0, elsewhere=True)
