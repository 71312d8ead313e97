"""One round of self-rewarding, bound to its folder: the verbs a strategy is written in.

Every verb is a `fill`: it makes only what the round's files do not hold yet, so a round that was interrupted goes on at
the cost of one batch. The model of the round before writes the prompts, gives the responses and judges them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from selfreward import store
from selfreward.engines.base import Engine, Sampling
from selfreward.engines.opening import Engines, judge_name
from selfreward.errors import StageFailed
from selfreward.guards import Alarm, judge_alarms, pair_alarms, response_alarms, sound
from selfreward.judges.filling import judge_into
from selfreward.named import find
from selfreward.pairing import PAIRINGS, Pairing, joined
from selfreward.pairing.rewards import implicit_rewards
from selfreward.progress import Progress
from selfreward.prompts import Attempt, Filter, attempt, few_shot, prompt_of
from selfreward.recipe import Recipe
from selfreward.records import (
    DPO_LOSS,
    Example,
    Judgement,
    Lesson,
    Loss,
    Pair,
    Prompt,
    Record,
    Response,
    digest,
    seed_of,
)
from selfreward.responses import Responses, Samples, sample
from selfreward.round_judges import ROUND_JUDGES
from selfreward.seeds import Seeds

R = TypeVar("R", bound=Record)
T = TypeVar("T")
ATTEMPTS_AT_ONCE = 128  # fixed, not engine.batch_size: what an attempt is shown depends on the batches before it
ATTEMPTS_PER_PROMPT = 5  # a model that needs more for one acceptable prompt has failed


class Likelihood(Record):
    """How likely a model finds one response."""

    id: str  # the response's
    nats: float


def _no_reward_model() -> Path:
    raise StageFailed("a round outside of a run has no reward model", "round")


@dataclass
class Round:
    """Round k, which makes M_k from what M_{k-1} writes and thinks of it."""

    k: int
    recipe: Recipe
    seeds: Seeds
    eft: list[Example]  # the EFT seed, for strategies that train on it again
    folder: Path
    model_path: Callable[[int], str]  # folder of M_k
    engines: Engines
    progress: Progress
    look_ahead: Callable[[Lesson, str], None] | None = None  # teaches a lesson aside, into `/ahead` of the round
    reward_model: Callable[[], Path] = _no_reward_model  # folder of the run's, made when it is first asked for
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # what was made and dropped, stage by stage

    @property
    def model(self) -> str:
        """The name of the model that works in this round."""
        return store.model_name(self.k - 1)

    def new_prompts(self) -> list[Prompt]:
        """`recipe.prompts.num` new prompts by few-shot prompting, all filters applied and counted.

        Attempts are made batch by batch; the examples of a batch are drawn from what was accepted before it. StageFailed
        where the model writes too few that are acceptable.
        """
        settings = self.recipe.prompts
        sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
        earlier = self._earlier_prompts()
        known = [p.text for p in (*self.seeds.prompts, *earlier)] + [ranked.prompt for ranked in self.seeds.ranked]
        filter_ = Filter(known, self.seeds.is_held_out, settings.min_words, settings.max_words, settings.max_rouge_l)
        prompts: list[Prompt] = []
        path = self.folder / store.ATTEMPTS_FILE
        done = settings.num if (self.folder / store.PROMPTS_FILE).exists() else 0
        with self.progress.stage(f"{self.folder.name} prompts", settings.num, done) as advance:
            attempts = store.Filling(path, Attempt, self.progress)
            last = settings.num * ATTEMPTS_PER_PROMPT
            for first in range(0, last, ATTEMPTS_AT_ONCE):
                examples = self._examples(range(first, min(first + ATTEMPTS_AT_ONCE, last)), [*earlier, *prompts])

                def write(ids: list[str], examples: dict[str, list[Prompt]] = examples) -> list[Attempt]:
                    engine = self.engines.of(self.model_path(self.k - 1))
                    asked = {id: examples[id] for id in ids}
                    return attempt(engine, asked, settings.template, sampling, self.recipe.seed)

                before = len(prompts)
                for one in attempts.fill(list(examples), str, write):
                    if len(prompts) == settings.num:
                        filter_.counts["not_needed"] += 1
                    elif filter_.fate(one) == "accepted":
                        prompts.append(prompt_of(one, self.model))
                if not done:
                    advance(len(prompts) - before)
                if len(prompts) == settings.num:
                    break
        self.counts["prompts"] = dict(filter_.counts)
        if len(prompts) < settings.num:
            worst = filter_.counts.most_common(3)
            raise StageFailed(
                f"{self.model} wrote {len(prompts)} acceptable prompts in {last} attempts "
                f"({', '.join(f'{name} {n}' for name, n in worst)})",
                path,
                "ask for fewer (prompts.num) or loosen the filters (prompts.max_rouge_l)",
            )
        store.write_once(self.folder / store.PROMPTS_FILE, prompts)
        self._seal(store.ATTEMPTS_FILE, store.PROMPTS_FILE)
        return prompts

    def sample(
        self, prompts: Sequence[Prompt], by: int | str | None = None, num_samples: int | None = None
    ) -> Sequence[Response]:
        """N responses to each prompt by the model of the round, or `by` another: M_k's k, or the name that `ahead` gives."""
        settings, num = self.recipe.responses, num_samples or self.recipe.responses.num_samples
        sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
        who, path = self._model(self.k - 1 if by is None else by)
        name = store.RESPONSES_FILE if by is None else store.OTHERS_RESPONSES_FILE.format(model=who)
        lines = self.fill(
            name,
            Responses,
            prompts,
            lambda prompt: prompt.id,
            lambda batch: sample(self.engines.of(path), batch, num, sampling, who, self.recipe.seed),
        )
        responses = Samples(lines)
        self.counts["responses" if by is None else f"responses of {who}"] = {
            "responses": len(responses), "unfinished": sum(not response.finished for response in responses)
        }  # fmt: skip
        if by is None:
            self._watch(response_alarms(responses, self._chars_before(), self.recipe.guards))
        return responses

    def judge(self, responses: Sequence[Response], by: str | None = None) -> Sequence[Judgement]:
        """A judgement of every response by the recipe's judge, who by default is the model of the round, or by ROUND_JUDGES[by]."""
        if (found := ROUND_JUDGES.get(by or self.recipe.judge.name)) is not None:
            judgements = found(self, responses)
        else:
            path, judge = self.folder / store.JUDGEMENTS_FILE, self.recipe.judge
            name = judge_name(judge.engine, self.model)
            judgements = judge_into(
                path, responses, judge, self.recipe, self.engines, self.model_path(self.k - 1), name, self.progress
            )
        self._seal(*sorted(path.name for path in self.folder.glob("judgements*.jsonl")))
        votes: Counter[str] = Counter()
        counts = Counter({"judgements": len(judgements), "unscored": 0, "of_cut_responses": 0})
        for judgement in judgements:
            votes.update(vote.fault or "read" for vote in judgement.votes)
            counts["unscored"] += judgement.score is None
            counts["of_cut_responses"] += judgement.cut > 0
            if judgement.evidence:
                counts["with_evidence"] += 1
        self.counts |= {"votes": dict(votes), "judgements": dict(counts)}
        self._watch(judge_alarms(judgements, self.recipe.guards))
        return judgements

    def implicit(self, responses: Sequence[Response], policy: int, base: int) -> list[Judgement]:
        """Judgements by implicit reward: what M_policy finds a response likelier than M_base, nats."""
        name = f"{store.model_name(policy)} over {store.model_name(base)}"
        return implicit_rewards(
            responses, self._likelihoods(responses, policy), self._likelihoods(responses, base), name
        )

    def pair(self, judgements: Sequence[Judgement]) -> Pairing:
        """The pairs that the recipe's `pairs` make of judgements: the best response to each prompt against the worst."""
        settings = self.recipe.pairs
        return find(settings.name, PAIRINGS, "pairs.name")(judgements, settings, self.recipe.seed)

    def ahead(self, pairing: Pairing) -> str:
        """Teaches the model of the round pairs aside, and gives the name under which the model that results can be asked."""
        if self.look_ahead is None:
            raise StageFailed("nobody is there to teach a model within the round", self.folder)
        self.look_ahead(
            self._lesson(pairing.pairs), f"/{store.AHEAD_FOLDER}"
        )  # a model that is there is not taught again
        self.counts["pairs_ahead"] = pairing.counts
        return f"{self.folder.name}-{store.AHEAD_FOLDER}"

    def dpo_lesson(self, pairing: Pairing, loss: Loss = DPO_LOSS, replay: float = 0.0) -> Lesson:
        """The pairs as a lesson for the model of the round, anchored to itself (section 2.4), unless the recipe says otherwise.

        `replay` times as many pairs of earlier rounds join them, if there are, or as many as `pairs.replay` says.
        """
        num_own = len(pairing.pairs)
        if replay := self.recipe.pairs.replay or replay:
            pairing = joined(pairing, self._earlier_pairs(round(replay * num_own), pairing.pairs), "replayed")
        self.counts["pairs"] = pairing.counts
        pairs = store.write_once(self.folder / store.PAIRS_FILE, pairing.pairs)
        self._seal(store.PAIRS_FILE)
        self._watch(pair_alarms(num_own, pairing.counts["prompts"], self.recipe.guards))
        return self._lesson(pairs, loss)

    def rl_lesson(self, prompts: Sequence[Prompt]) -> Lesson:
        """Prompts as a lesson in which a model is rewarded for what it answers; start and anchor as the recipe says."""
        rewarding = self.reward_model().parent.name
        return self._lesson([]).model_copy(
            update={"method": "rl", "prompts": tuple(prompts), "reward_model": rewarding, "loss": DPO_LOSS}
        )

    def sft_lesson(self, examples: Sequence[Example], start: int = 0) -> Lesson:
        """Examples, joined to the IFT and EFT seeds, as a lesson for M0, or another M_k."""
        self.counts["examples"] = {"ift": len(self.seeds.ift), "eft": len(self.eft), "new": len(examples)}
        return Lesson(method="sft", examples=(*self.seeds.ift, *self.eft, *examples), start=start)

    @property
    def before(self) -> int:
        """k of the model before that of the round; before M1 that is the SFT baseline."""
        return -1 if self.k == 2 else self.k - 2

    def keep(self, name: str, records: Sequence[Record]) -> None:
        """Writes records that are made at once into a file of the round."""
        store.write_once(self.folder / name, records)
        self._seal(name)

    def log(self, **scalars: Any) -> None:
        """Adds a line to the run's metrics."""
        if self.progress.log is not None:
            self.progress.log(model=self.folder.name, **scalars)

    def engine(self, k: int) -> Engine:
        """The engine of M_k."""
        return self.engines.of(self.model_path(k))

    def fill(
        self, name: str, record_type: type[R], wanted: Sequence[T], key: Callable[[T], str],
        make: Callable[[list[T]], list[R]],
    ) -> Sequence[R]:  # fmt: skip
        """`store.fill` of a file of the round, which is sealed then."""
        batch_size = self.recipe.engine.batch_size
        found = store.fill(self.folder / name, record_type, wanted, key, make, batch_size, self.progress)
        self._seal(name)
        return found

    def _model(self, by: int | str) -> tuple[str, str]:
        """(name, folder) of a model that can be asked in the round."""
        if isinstance(by, str):
            return by, str(self.folder / store.AHEAD_FOLDER / store.MODEL_FOLDER)
        return store.model_name(by), self.model_path(by)

    def _lesson(self, pairs: Sequence[Pair], loss: Loss = DPO_LOSS) -> Lesson:
        """A lesson of pairs about the models that the recipe names."""
        options = self.recipe.lesson
        start, reference = (options.place_of(name, self.k) for name in (options.start, options.reference))
        if self.recipe.dpo.nll:
            loss = loss.model_copy(update={"nll": self.recipe.dpo.nll})
        return Lesson(method="dpo", pairs=tuple(pairs), start=start, reference=reference, loss=loss)

    def _likelihoods(self, responses: Sequence[Response], k: int) -> dict[str, float]:
        """Response id -> log p(response and its end | prompt) under M_k, nats."""

        def make(batch: list[Response]) -> list[Likelihood]:
            nats = self.engine(k).loglik([(one.prompt, one.text) for one in batch])
            return [Likelihood(id=one.id, nats=value) for one, value in zip(batch, nats, strict=True)]

        name = store.LIKELIHOODS_FILE.format(model=store.model_name(k))
        return {one.id: one.nats for one in self.fill(name, Likelihood, responses, lambda response: response.id, make)}

    def _earlier_pairs(self, num: int, own: Sequence[Pair]) -> list[Pair]:
        """At most `num` pairs of the rounds before this one that are not its `own`, which ones by a hash."""
        files = [self.folder.parent / store.model_name(k) / store.PAIRS_FILE for k in range(2, self.k)]
        pairs = {pair.id: pair for file in files if file.exists() for pair in store.read(file, Pair)}
        for pair in own:
            pairs.pop(pair.id, None)
        return sorted(pairs.values(), key=lambda pair: digest("replay", self.recipe.seed, self.k, pair.id))[:num]

    def _examples(self, numbers: range, pool: Sequence[Prompt]) -> dict[str, list[Prompt]]:
        """What each of these attempts is shown: prompts of the seed, and of the pool of those written before."""
        settings = self.recipe.prompts
        return {
            digest("attempt", self.model, i): few_shot(
                self.seeds.prompts, pool, settings.shots_seed, settings.shots_generated,
                seed_of(self.recipe.seed, "few-shot", self.model, i),
            )
            for i in numbers
        }  # fmt: skip

    def _seal(self, *names: str) -> None:
        """Records finished files of the round in the run's manifest."""
        store.seal(self.folder.parent, *(f"{self.folder.name}/{name}" for name in names))

    def _watch(self, alarms: Sequence[Alarm]) -> None:
        """Sounds alarms, but of a round that is over: a run that goes on has said them."""
        if not (self.folder / store.MODEL_FOLDER).exists():
            sound(alarms, self.recipe.guards, self.folder.name, self.progress.log)

    def _chars_before(self) -> float | None:
        """Mean length of the responses of the round before, of the IFT seed's in the first; None where there are none."""
        file = self.folder.parent / store.model_name(self.k - 1) / store.RESPONSES_FILE
        if file.exists():
            chars = [len(response.text) for line in store.stream(file, Responses) for response in line.samples]
        else:
            chars = [len(example.response) for example in self.seeds.ift]
        return fmean(chars) if chars else None

    def _earlier_prompts(self) -> list[Prompt]:
        """Prompts accepted in the rounds before this one."""
        files = [self.folder.parent / store.model_name(k) / store.PROMPTS_FILE for k in range(2, self.k)]
        return [prompt for file in files if file.exists() for prompt in store.read(file, Prompt)]
