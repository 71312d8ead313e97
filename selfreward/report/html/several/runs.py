"""Several runs, grouped as they are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selfreward.report.html.run import Run

# What runs are compared by: title, unit of a difference, decimals, shortest axis.
FIGURES = {
    "score": ("Score of the answers, 0 to 5", "points", 2, 1.0),
    "net": ("Net win against the run's own SFT baseline, %", "points of net win", 1, 10.0),
    "judge_right": ("Pairs of answers that the judge puts in order, %", "points", 1, 10.0),
}


@dataclass(frozen=True)
class Several:
    """Runs, and what `comparing.compare` found; the runs of each group in the order of `found["groups"]`."""

    groups: Sequence[Sequence[Run]]
    found: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        """The groups as a reader meets them."""
        return [group["name"] for group in self.found["groups"]]

    @property
    def runs(self) -> list[Run]:
        """All of them."""
        return [run for group in self.groups for run in group]
