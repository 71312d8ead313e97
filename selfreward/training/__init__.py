"""From a lesson to the next model: SFT and DPO on TRL (arXiv 2401.10020, sections 2.1 and 2.4).

`train.py` is the only way in; `data.py` turns records into token ids, `sft.py` and `dpo.py` build TRL's trainers, and
`trainer.py` holds what both share.
"""

from selfreward.training.train import train

__all__ = ["train"]
