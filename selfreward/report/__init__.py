"""The report of a run: `tables` reads the run folder, `headline` one measurement, `render` prints tables. None needs torch."""

from selfreward.report.printing import render
from selfreward.report.reading import headline, tables

__all__ = ["headline", "render", "tables"]
