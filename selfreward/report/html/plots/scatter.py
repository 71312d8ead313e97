"""Places of things of several groups on a plane."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from selfreward.records import digest
from selfreward.report.html.plots.svg import WIDTH, bounds, drawing, legend, linear, marker


def scatter(title: str, groups: Mapping[str, str], points: Sequence[tuple[str, float, float, str]]) -> Markup:
    """Points (group, x, y, text), each with the sign of its group; a mouse that rests on one is shown its text.

    `groups` has the name of each group in the legend. No group is drawn above another: the order is by a hash.
    """
    styles = {group: style for style, group in enumerate(groups)}
    key, top = legend([(styles[group], name) for group, name in groups.items()], 20)
    bottom = top + WIDTH * 0.8
    x = linear(*bounds([x for _, x, _, _ in points]), 6, WIDTH - 6)
    y = linear(*bounds([y for _, _, y, _ in points]), bottom, top + 6)
    drawn = [
        marker(styles[group], x(across), y(up), 2.1, f"{groups[group]}: {said}")
        for group, across, up, said in sorted(points, key=lambda one: digest(*one))
    ]
    counted = ", ".join(f"{sum(group == one for one, *_ in points)} points: {name}" for group, name in groups.items())
    return drawing(title, counted, bottom + 6, key, *drawn)
