"""LLM-as-a-Judge: a model reads rubric, instruction and response, and says how many points it gives (section 2.2).

The rubric stands first in the judge prompt, so that all judgements share its prefix, then the instruction, which the N
responses to one prompt share.
"""

from collections.abc import Sequence

from selfreward.engines.base import Engine, Request, Sampling
from selfreward.judges.votes import make_judgement, read_vote
from selfreward.recipe import Judge
from selfreward.records import Judgement, Response, seed_of
from selfreward.templates import render


def judge(
    engine: Engine, responses: Sequence[Response], settings: Judge, judge_name: str, seed: int
) -> list[Judgement]:
    """One judgement of `settings.votes` votes for each response, in their order.

    A vote depends on the judge, the response and the seed alone. A response too long for the judge's context gets
    truncated votes, hence no score. BadInput for a template that cannot be used.
    """
    requests = [
        Request(
            id=response.id,
            prompt=render("judge", settings.template, prompt=response.prompt, response=response.text),
            num_samples=settings.votes,
            seed=seed_of(seed, judge_name, response.id),
        )
        for response in responses
    ]
    completions = engine.generate(requests, Sampling(settings.temperature, settings.top_p, settings.max_tokens))
    return [
        make_judgement(response, [read_vote(vote.text, vote.finished) for vote in samples], judge_name, settings.quorum)
        for response, samples in zip(responses, completions, strict=True)
    ]
