"""The report of a run: `tables` reads the run folder, `render` prints what it found. Neither needs torch."""

from selfreward.report.printing import render
from selfreward.report.reading import tables

__all__ = ["render", "tables"]
