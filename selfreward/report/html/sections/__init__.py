"""The sections of a page in their order, each a module with one function from a run to a `Section`."""

from collections.abc import Callable

from selfreward.report.html.blocks import Section
from selfreward.report.html.run import Run
from selfreward.report.html.sections.cost import cost
from selfreward.report.html.sections.drift import drift
from selfreward.report.html.sections.following import following
from selfreward.report.html.sections.funnel import funnel
from selfreward.report.html.sections.head_to_head import head_to_head
from selfreward.report.html.sections.judge import judge
from selfreward.report.html.sections.overview import overview
from selfreward.report.html.sections.pairs import pairs
from selfreward.report.html.sections.prompt_map import prompt_map
from selfreward.report.html.sections.settings import settings
from selfreward.report.html.sections.training import training

SECTIONS: tuple[Callable[[Run], Section], ...] = (
    overview,
    head_to_head,
    following,
    judge,
    drift,
    funnel,
    training,
    prompt_map,
    pairs,
    cost,
    settings,
)
