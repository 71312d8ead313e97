"""From a lesson to the next model: SFT and DPO on TRL (arXiv 2401.10020, sections 2.1 and 2.4).

`train.py` is the only way in: it makes a lesson into rows (`data.py`) and an order (`order.py`). `teach.py` carries an order
out, here or in each of several processes (`launch.py`, `worker.py`), on TRL's trainers (`sft.py`, `dpo.py`, `trainer.py`).
"""

from selfreward.training.train import train

__all__ = ["train"]
