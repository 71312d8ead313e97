"""A training order: all that a process needs to know to teach a lesson, and the folder in which it is handed over.

In the folder, `m2/order/`, lie order.json, rows.jsonl (the lesson as token ids, one row a line) and events.jsonl, to which
the processes add what the one that waits for them wants to know. It is gone once the model is there.
"""

import json
from pathlib import Path
from typing import Any, Literal

from selfreward import store
from selfreward.recipe import Dpo, Recipe, RewardModel, Rl, Sft
from selfreward.records import DPO_LOSS, Loss, Record, seed_of

ORDER_FILE, ROWS_FILE, EVENTS_FILE = "order.json", "rows.jsonl", "events.jsonl"

Rows = list[dict[str, Any]]
Method = Literal["sft", "dpo", "reward", "rl"]
Settings = Sft | Dpo | RewardModel | Rl


def settings_of(method: Method, recipe: Recipe) -> Settings:
    """The recipe's section for a method."""
    sections: dict[Method, Settings] = {
        "sft": recipe.sft, "dpo": recipe.dpo, "reward": recipe.reward_model, "rl": recipe.rl
    }  # fmt: skip
    return sections[method]


class Order(Record):
    """What is to be taught, from what to what, and how."""

    method: Method
    lesson: str  # a digest of the lesson: with the settings, what a checkpoint belongs to
    start: Path  # folder of the model that is taught
    reference: Path | None  # folder of the reference of DPO and RL; None for the others
    loss: Loss = DPO_LOSS  # of pairs
    reference_weights: str  # a digest of the reference's weights: what its log-probs belong to; "" where there is none
    reward_model: Path | None = None  # folder of RL's reward model
    folder: Path  # of the model that is made: checkpoints/, perhaps snapshots/, and at the end model/
    recipe: Recipe
    distributed_type: str  # what accelerate must call its way of training, or nothing is trained

    @property
    def settings(self) -> Settings:
        """The recipe's section for the method."""
        return settings_of(self.method, self.recipe)

    @property
    def seed(self) -> int:
        """Of everything random in the training; what numpy takes."""
        return seed_of(self.recipe.seed, "train") % 2**32

    @property
    def snapshot_every(self) -> int | None:
        """Steps from one snapshot to the next; None where the model at the end of the training is the only one."""
        early_stopping = self.recipe.training.early_stopping
        return early_stopping.every if early_stopping and self.method == "dpo" else None

    def snapshot(self, step: int) -> Path:
        """Folder of the model as it is after so many steps."""
        return self.folder / store.SNAPSHOTS_FOLDER / f"step-{step}"

    def finished(self, num_steps: int) -> Path:
        """Folder of the model at the end of its `num_steps`: the model that is made, or the last of its snapshots."""
        return self.snapshot(num_steps) if self.snapshot_every else self.folder / store.MODEL_FOLDER

    def on_device(self, rows: int) -> "Order":
        """The same order with so many rows on a device at once."""
        training = self.recipe.training.model_copy(update={"device_batch": rows})
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"training": training})})


def write_order(order: Order, rows: Rows, folder: Path) -> None:
    """Hands an order over in a folder, without events."""
    (folder / EVENTS_FILE).unlink(missing_ok=True)
    store.write_text(folder / ROWS_FILE, "".join(json.dumps(row) + "\n" for row in rows))
    store.write_text(folder / ORDER_FILE, order.model_dump_json(indent=2) + "\n")


def read_order(folder: Path) -> tuple[Order, Rows]:
    """The order of a folder and its rows."""
    order = Order.model_validate_json((folder / ORDER_FILE).read_bytes())
    return order, store.read_rows(folder / ROWS_FILE)


def add_event(folder: Path, **event: Any) -> None:
    """Adds a line to the events; several processes may at once."""
    with (folder / EVENTS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")
