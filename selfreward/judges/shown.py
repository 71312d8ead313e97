"""What a judge is shown: its prompt, cut where its context has no room for more, and how its answer begins if it is told.

The rubric stands first in the prompt, so that all judgements share its prefix, then the instruction, which the N responses
to one prompt share.
"""

from collections.abc import Sequence

from selfreward.engines.base import Engine
from selfreward.errors import BadInput
from selfreward.recipe import Judge
from selfreward.records import Passage, Response
from selfreward.templates import beginning, render


def judge_prompt(template: str, prompt: str, response: str, cut: int = 0, evidence: Sequence[Passage] = ()) -> str:
    """What the judge is asked, with the last `cut` characters of the response left out and a note in their place.

    `evidence` is shown where the template does so.
    """
    if cut:
        response = f"{response[:-cut]}\n[The response goes on for {cut} characters that are not shown.]"
    shown = [{"id": passage.id, "text": passage.text} for passage in evidence]
    return render("judge", template, prompt=prompt, response=response, evidence=shown)


def begin_of(settings: Judge) -> str:
    """What a judge that is read directly says before its points. BadInput where neither recipe nor template tells."""
    begin = beginning(settings.template) if settings.begin is None else settings.begin
    if begin is None:
        todo = "set it, or begin the template with: {% set begin = 'Score: ' -%}"
        raise BadInput(
            f"the template {settings.template} does not say what stands before the points", "judge.begin", todo
        )
    return begin


def least_cut(engine: Engine, response: Response, settings: Judge, evidence: Sequence[Passage] = ()) -> int:
    """The fewest characters to leave out so that the judge has room to answer; 0 where that is not to be had."""
    # Read directly, a judge needs room for its beginning and one token; no token is shorter than a byte.
    needed = 1 + len(begin_of(settings).encode()) if settings.read == "direct" else settings.max_tokens

    def fits(cut: int) -> bool:
        (room,) = engine.room([judge_prompt(settings.template, response.prompt, response.text, cut, evidence)])
        return room is not None and room >= needed

    least, most = 1, len(response.text)
    if not most or not fits(most):
        return 0
    while least < most:
        middle = (least + most) // 2
        if fits(middle):
            most = middle
        else:
            least = middle + 1
    return most
