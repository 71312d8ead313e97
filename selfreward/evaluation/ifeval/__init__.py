"""IFEval: whether responses do what can be checked by a program (Zhou et al. 2023, arXiv 2311.07911).

`INSTRUCTIONS` holds the 25 kinds of instructions, `reading` the published files, `scoring` what is made of them.
"""

from selfreward.evaluation.ifeval.instructions import INSTRUCTIONS
from selfreward.evaluation.ifeval.reading import Task, read_responses, read_tasks
from selfreward.evaluation.ifeval.scoring import ifeval

__all__ = ["INSTRUCTIONS", "Task", "ifeval", "read_responses", "read_tasks"]
