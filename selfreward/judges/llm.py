"""LLM-as-a-Judge: a model reads rubric, instruction and response, and says how many points it gives (section 2.2).

The rubric stands first in the judge prompt, so that all judgements share its prefix, then the instruction, which the N
responses to one prompt share.
"""

from collections.abc import Sequence

from selfreward.engines.base import Completion, Engine, Request, Sampling, ask
from selfreward.errors import StageFailed
from selfreward.judges.expected import expect, expect_directly
from selfreward.judges.votes import make_judgement, read_vote
from selfreward.recipe import Judge
from selfreward.records import Judgement, Response, Vote, seed_of
from selfreward.templates import render

Draft = tuple[int, list[Vote]]  # place of a response, its votes


def judge(
    engine: Engine, responses: Sequence[Response], settings: Judge, judge_name: str, seed: int
) -> list[Judgement]:
    """One judgement of `settings.votes` votes for each response, in their order; of one where points are read directly.

    A vote depends on the judge, the response and the seed alone. A response too long for the judge's context gets
    truncated votes, hence no score. BadInput for a template that cannot be used.
    """
    prompts = [render("judge", settings.template, prompt=r.prompt, response=r.text) for r in responses]

    def judgements(drafts: Sequence[Draft]) -> list[Judgement]:
        if settings.read == "expected":
            drafts = _expected(engine, prompts, drafts)
        return [make_judgement(responses[place], votes, judge_name, settings.quorum) for place, votes in drafts]

    if settings.read == "direct":
        return judgements(
            [(place, [vote]) for place, vote in enumerate(expect_directly(engine, prompts, settings.begin))]
        )
    requests = [
        Request(response.id, prompt, settings.votes, seed_of(seed, judge_name, response.id))
        for response, prompt in zip(responses, prompts, strict=True)
    ]
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    try:
        return judgements(ask(engine, requests, sampling, lambda place, samples: (place, [*map(_vote, samples)])))
    except StageFailed as failed:
        raise StageFailed(str(failed), made=judgements(failed.made)) from failed


def _vote(completion: Completion) -> Vote:
    if completion.refused:
        return Vote(score=None, fault="refused", text=completion.text)
    return read_vote(completion.text, completion.finished)


def _expected(engine: Engine, prompts: Sequence[str], drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts with expected points in place of drawn ones; all are read at once."""
    read = iter(
        expect(engine, [prompts[i] for i, votes in drafts for _ in votes], [v for _, votes in drafts for v in votes])
    )
    return [(place, [next(read) for _ in votes]) for place, votes in drafts]
