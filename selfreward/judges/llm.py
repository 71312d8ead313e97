"""LLM-as-a-Judge: a model reads rubric, instruction and response, and says how many points it gives (section 2.2).

The rubric stands first in the judge prompt, so that all judgements share its prefix, then the instruction, which the N
responses to one prompt share. A response that leaves the judge no room to answer is not judged, or is cut where the judge can see
it, as the recipe says; either way the judgement tells.
"""

from collections.abc import Sequence

from selfreward.engines.base import Completion, Engine, Request, Sampling
from selfreward.judges.votes import make_judgement, read_vote
from selfreward.recipe import Judge
from selfreward.records import Judgement, Response, Vote, seed_of
from selfreward.templates import render


def judge(
    engine: Engine, responses: Sequence[Response], settings: Judge, judge_name: str, seed: int
) -> list[Judgement]:
    """One judgement of `settings.votes` votes for each response, in their order.

    A vote depends on the judge, the response and the seed alone. One that the end of the judge's context cut off has the
    fault `too_long`; with `too_long: truncate` the response is cut until there is room, where that can be had. BadInput
    for a template that cannot be used.
    """

    def ask(numbers: Sequence[int]) -> list[list[Completion]]:
        requests = [
            Request(
                id=responses[i].id,
                prompt=judge_prompt(settings.template, responses[i].prompt, responses[i].text, cuts[i]),
                num_samples=settings.votes,
                seed=seed_of(seed, judge_name, responses[i].id),
            )
            for i in numbers
        ]
        return engine.generate(requests, Sampling(settings.temperature, settings.top_p, settings.max_tokens))

    cuts = [0] * len(responses)
    completions = ask(range(len(responses)))
    if settings.too_long == "truncate":
        for i, samples in enumerate(completions):
            if any(_ran_out(sample, settings) for sample in samples):
                cuts[i] = _least_cut(engine, responses[i], settings)
        shortened = [i for i, cut in enumerate(cuts) if cut]
        for i, samples in zip(shortened, ask(shortened) if shortened else [], strict=True):
            completions[i] = samples
    return [
        make_judgement(response, [_vote(sample, settings) for sample in samples], judge_name, settings.quorum, cut)
        for response, samples, cut in zip(responses, completions, cuts, strict=True)
    ]


def judge_prompt(template: str, prompt: str, response: str, cut: int = 0) -> str:
    """What the judge is asked, with the last `cut` characters of the response left out and a note in their place."""
    if cut:
        response = f"{response[:-cut]}\n[The response goes on for {cut} characters that are not shown.]"
    return render("judge", template, prompt=prompt, response=response)


def _vote(completion: Completion, settings: Judge) -> Vote:
    vote = read_vote(completion.text, completion.finished)
    if vote.fault == "truncated" and _ran_out(completion, settings):
        return vote.model_copy(update={"fault": "too_long"})
    return vote


def _ran_out(completion: Completion, settings: Judge) -> bool:
    """Whether the end of the context, and not the limit of the recipe, cut a judgement off."""
    return not completion.finished and completion.num_tokens < settings.max_tokens


def _least_cut(engine: Engine, response: Response, settings: Judge) -> int:
    """The fewest characters to leave out so that the judge can write `max_tokens`; 0 where that is not to be had."""

    def fits(cut: int) -> bool:
        (room,) = engine.room([judge_prompt(settings.template, response.prompt, response.text, cut)])
        return room is not None and room >= settings.max_tokens

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
