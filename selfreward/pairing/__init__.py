"""From judgements to pairs and examples: pure functions of records, one small file for each way.

`best_vs_worst` is the paper's (arXiv 2401.10020, section 2.3); `people` has pairs that people's data give, `rewards` what
other numbers than votes are worth, `consistency` votes by agreement, `judging` pairs of judgements, `steps` pairs that part in
one step.
"""

from selfreward.pairing.base import COUNTED, Pairing, joined, make_pair
from selfreward.pairing.best_vs_worst import best_vs_worst, by_prompt, positives

__all__ = ["COUNTED", "Pairing", "best_vs_worst", "by_prompt", "joined", "make_pair", "positives"]
