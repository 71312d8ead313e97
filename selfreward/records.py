"""The things that flow through a run: prompt, response, vote, judgement, pair, example, lesson.

Every record is frozen, and one record is one line of JSONL that can be read on its own: it repeats the texts it is
about. Records refer to one another by id, never by position; an id is a hash of content, so the same thing made twice
has the same id. Scores are points, 0 to 5 (arXiv 2401.10020, section 2.2); where a judge is a reward model they are its
rewards, any real numbers, and what stands of points below holds for rewards on their own scale.
"""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

VoteFault = Literal["unreadable", "truncated", "out_of_range", "too_long", "refused"]


def digest(*parts: object) -> str:
    """A 16-character id made of the parts' content: equal parts give equal ids, on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def seed_of(*parts: object) -> int:
    """A 63-bit random seed made of the parts' content, so that a sample depends on what it is and not on its neighbours."""
    return int(digest(*parts), 16) >> 1


class Record(BaseModel):
    """A frozen line of JSONL; unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(Record):
    """An instruction, as a person or a model wrote it."""

    id: str
    text: str
    source: str  # where it comes from: ift, eft, eval, or m1, m2 ... when a model wrote it


class RankedResponse(Record):
    """One of several answers to a prompt, with the place people gave it."""

    text: str
    rank: int = Field(ge=0)  # 0 is the best; equal ranks are ties


class RankedSet(Record):
    """A prompt with several responses that people (or an oracle) ranked: EFT seed and reward-model evaluation."""

    id: str
    prompt: str
    responses: tuple[RankedResponse, ...]
    category: str | None = Field(default=None, exclude_if=lambda name: name is None)  # of the prompt; left out if None


class Response(Record):
    """One of the N samples a model gave to a prompt."""

    id: str
    prompt_id: str
    prompt: str
    text: str
    model: str  # m1, m2 ...
    sample: int = Field(ge=0)  # 0 .. N - 1
    num_tokens: int | None = Field(ge=0)  # None: nobody counted them
    finished: bool  # False: cut off at the token limit


class Vote(Record):
    """One reading of the judge: a score, or None and the reason why there is none."""

    score: float | None  # points, 0..5: as the judge wrote them, or the mean of `probs` where these were read
    fault: VoteFault | None  # None exactly when there is a score
    text: str  # the whole judgement, as the judge wrote it; empty where it was asked for its points alone
    probs: tuple[float, ...] | None = (
        None  # of 0, 1 .. 5 as the next token where the points stand; may sum to less than 1
    )


class Passage(Record):
    """A piece of a text in a database, with the place where a person finds it."""

    id: str  # towns.md:12, facts.parquet: row 7
    text: str


class Judgement(Record):
    """One response and its votes."""

    id: str
    response_id: str
    prompt_id: str
    prompt: str
    response: str
    judge: str  # m1, m2 ... or the name of a judge from outside the loop
    votes: tuple[Vote, ...]
    score: float | None  # mean of the readable votes, points 0..5; None below the quorum
    coverage: float = Field(ge=0, le=1)  # share of votes that could be read
    cut: int = Field(0, ge=0)  # characters at the response's end that the judge was not shown: no room in its context
    evidence: tuple[Passage, ...] = ()  # what was looked up and shown to the judge, the most telling first


class Pair(Record):
    """What DPO learns from: two responses to one prompt, and how far apart their scores are."""

    id: str
    prompt_id: str
    prompt: str
    chosen_id: str
    chosen: str
    chosen_score: float
    rejected_id: str
    rejected: str
    rejected_score: float
    margin: float = Field(gt=0)  # chosen_score - rejected_score, points
    weight: float = Field(
        default=1.0, gt=0
    )  # what the pair counts for in the loss, where other losses than DPO's own say so
    whole: bool = True  # False: both are cut after the step in which they part, and no end of turn is taught


class Example(Record):
    """What SFT learns from: a prompt and the response to imitate."""

    id: str
    prompt: str
    response: str
    source: str  # ift, eft, positive ...


class Loss(Record):
    """How pairs teach; as it stands, DPO's own loss (arXiv 2305.18290). `training.losses` has the formulas."""

    kind: Literal["dpo", "sppo"] = "dpo"  # sppo: scores are win probabilities, and log-ratios are drawn towards them
    consistency: float = Field(
        default=1.0, ge=0, le=1
    )  # share of the loss for the pair as it stands; the rest for it turned round
    nll: float = Field(default=0.0, ge=0)  # weight of the chosen response's mean negative log-likelihood of a token
    weighted: bool = False  # whether the weights of pairs count


DPO_LOSS = Loss()


class Lesson(Record):
    """What a strategy hands to a trainer: pairs for DPO, examples for SFT or prompts for RL, and the models they are about."""

    method: Literal["sft", "dpo", "reward", "rl"]  # reward: pairs for a reward model
    pairs: tuple[Pair, ...] = ()
    examples: tuple[Example, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    start: int  # k of the model M_k that is taught; -1 is the SFT baseline
    reference: int | None = None  # k of the reference model of DPO and RL; None for the others
    reward_model: str | None = None  # of RL: the folder beside that of the lesson's model which holds it
    loss: Loss = DPO_LOSS  # of pairs

    def summary(self) -> dict[str, object]:
        """What a person wants to know of a lesson without its texts."""
        return {
            "method": self.method, "start": self.start, "reference": self.reference,
            "num_pairs": len(self.pairs), "num_examples": len(self.examples),
            "num_prompts": len(self.prompts), "reward_model": self.reward_model,
            **({"loss": self.loss.model_dump()} if self.loss != DPO_LOSS else {}),
        }  # fmt: skip
