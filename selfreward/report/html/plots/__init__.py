"""Plots as inline SVG, each a pure function of numbers: no library in the page, no script, no colour that alone tells.

All are drawn 360 units wide, so that their letters can be read on a telephone; colours come from classes of the page's
style, which has a palette for light and one for dark, and every series has a shape or a pattern too.
"""

from selfreward.report.html.plots.bars import Bar, Part, bars
from selfreward.report.html.plots.columns import columns
from selfreward.report.html.plots.curves import Curve, curves
from selfreward.report.html.plots.lines import Point, Series, alone, lines, point
from selfreward.report.html.plots.rows import dots
from selfreward.report.html.plots.scatter import scatter

__all__ = [
    "Bar",
    "Curve",
    "Part",
    "Point",
    "Series",
    "alone",
    "bars",
    "columns",
    "curves",
    "dots",
    "lines",
    "point",
    "scatter",
]
