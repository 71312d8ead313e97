"""The rewards of a frozen reward model (`training/reward_model.py` makes it), as judgements like any others.

A reward is a real number on a scale of its own: only differences between responses to one prompt mean anything. It is
read at the end of the assistant's turn, which a response that was cut off is given too.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from selfreward import store
from selfreward.chat import encode_example, load_tokenizer
from selfreward.errors import StageFailed
from selfreward.judges.votes import judgement_id, make_judgement
from selfreward.memory import halved, with_less
from selfreward.progress import Progress
from selfreward.recipe import Recipe
from selfreward.records import Judgement, Response, Vote
from selfreward.weights import load_reward_model


class RewardModel:
    """A reward model in memory, in float32; it is never trained."""

    def __init__(self, folder: str | Path, max_tokens: int, device: str = "auto", trusted: bool = False) -> None:
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = load_tokenizer(folder, trusted)
        self.model = load_reward_model(folder, trust_remote_code=trusted, dtype=torch.float32).to(device).eval()
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.max_tokens = min(max_tokens, context or max_tokens)
        self.at_once: int | None = None  # rows, once memory has run out

    def of_texts(self, texts: Sequence[tuple[str, str]]) -> list[float | None]:
        """The reward of each (prompt, response); see `of_chats`."""
        return self.of_chats([[i for ids in encode_example(self.tokenizer, *pair) for i in ids] for pair in texts])

    def of_chats(self, rows: Sequence[list[int]]) -> list[float | None]:
        """The reward of each chat, token ids to the end of the assistant's turn; None for more than `max_tokens`.

        StageFailed for a reward that is no number. A reward does not depend on its neighbours but for rounding.
        """
        first = min(self.at_once or len(rows), len(rows)) or 1
        found, size = with_less(lambda size: self._in_parts(rows, size), first, halved, "rewards")
        if size < first:
            self.at_once = size
        return found

    def _in_parts(self, rows: Sequence[list[int]], size: int) -> list[float | None]:
        return [reward for at in range(0, len(rows), size) for reward in self._together(rows[at : at + size])]

    def _together(self, rows: Sequence[list[int]]) -> list[float | None]:
        import torch

        found: list[float | None] = [None] * len(rows)
        places = [place for place, row in enumerate(rows) if len(row) <= self.max_tokens]
        if not places:
            return found
        pad = self.model.config.get_text_config().pad_token_id
        longest = max(len(rows[place]) for place in places)
        ids = torch.full((len(places), longest), pad, device=self.model.device)
        mask = torch.zeros_like(ids)
        for line, place in enumerate(places):
            ids[line, : len(rows[place])] = torch.tensor(rows[place])
            mask[line, : len(rows[place])] = 1
        with torch.no_grad():
            logits = self.model(input_ids=ids, attention_mask=mask).logits[:, 0]
        for place, reward in zip(places, logits.tolist(), strict=True):
            if not math.isfinite(reward):
                raise StageFailed(f"the reward of a response is {reward}", store.REWARD_MODEL_FOLDER, "train it again")
            found[place] = reward
        return found


def open_reward_model(folder: Path, recipe: Recipe) -> RewardModel:
    """The reward model in a folder, to be used as the recipe says."""
    engine = recipe.engine
    return RewardModel(folder, recipe.reward_model.max_tokens, engine.device, engine.trust_remote_code)


def judge_into(
    path: Path, responses: Sequence[Response], folder: Path, recipe: Recipe, progress: Progress
) -> Sequence[Judgement]:
    """Judgements of responses by the reward model in a folder, filled into a file; it is loaded if one is missing.

    Each has one vote, the reward, or a vote of the fault `too_long`.
    """
    opened: list[RewardModel] = []

    def make(batch: list[Response]) -> list[Judgement]:
        if not opened:
            opened.append(open_reward_model(folder, recipe))
        rewards = opened[0].of_texts([(response.prompt, response.text) for response in batch])
        return [
            make_judgement(response, [_vote(reward)], store.REWARD_MODEL_FOLDER)
            for response, reward in zip(batch, rewards, strict=True)
        ]

    return store.fill(
        path,
        Judgement,
        responses,
        lambda response: judgement_id(store.REWARD_MODEL_FOLDER, response.id),
        make,
        recipe.engine.batch_size,
        progress,
    )


def _vote(reward: float | None) -> Vote:
    return Vote(score=reward, fault=None if reward is not None else "too_long", text="")
