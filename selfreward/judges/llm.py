"""LLM-as-a-Judge: a model reads rubric, instruction and response, and says how many points it gives (section 2.2).

Points are taken as it wrote them, or from its probabilities (`expected`). A response that leaves the judge no room to answer
is not judged, or is cut where the judge can see it (`shown`), as the recipe says; either way the judgement tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from selfreward.engines.base import Completion, Engine, Request, Sampling, ask
from selfreward.errors import StageFailed
from selfreward.judges.expected import expect, expect_directly
from selfreward.judges.shown import begin_of, judge_prompt, least_cut
from selfreward.judges.votes import make_judgement, read_vote
from selfreward.recipe import Judge
from selfreward.records import Judgement, Passage, Response, Vote, seed_of


@dataclass(frozen=True)
class _Draft:
    """What the judge said of one response, before it is known whether it will be asked again."""

    place: int  # of the response
    votes: list[Vote]
    ran_out: bool  # the end of the judge's context cut it off


def judge(
    engine: Engine,
    responses: Sequence[Response],
    settings: Judge,
    judge_name: str,
    seed: int,
    evidence: Sequence[Sequence[Passage]] | None = None,
) -> list[Judgement]:
    """One judgement of `settings.votes` votes for each response, in their order; of one where points are read directly.

    `evidence` is what the judge is shown beside each response, none where it is not given.
    A vote depends on the judge, the response and the seed alone. One that the end of the judge's context cut off has the
    fault `too_long`; with `too_long: truncate` the response is cut until there is room, where that can be had. BadInput
    for a template that cannot be used; StageFailed where the engine gives up, with the judgements that were `made`.
    """
    cuts = [0] * len(responses)
    shown = evidence or [()] * len(responses)

    def prompts(places: Sequence[int]) -> list[str]:
        return [
            judge_prompt(settings.template, responses[i].prompt, responses[i].text, cuts[i], shown[i]) for i in places
        ]

    def drafts(places: Sequence[int]) -> list[_Draft]:
        if settings.read == "direct":
            return expect_directly(
                engine, prompts(places), begin_of(settings),
                lambda asked, votes: _Draft(places[asked], votes, votes[0].fault == "too_long"),
            )  # fmt: skip
        requests = [
            Request(responses[i].id, prompt, settings.votes, seed_of(seed, judge_name, responses[i].id))
            for i, prompt in zip(places, prompts(places), strict=True)
        ]
        sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
        return ask(engine, requests, sampling, lambda asked, samples: _draft(places[asked], samples, settings))

    final: list[_Draft] = []
    failure: StageFailed | None = None
    may_cut = settings.too_long == "truncate"
    try:
        for draft in drafts(range(len(responses))):
            if may_cut and draft.ran_out:
                cuts[draft.place] = least_cut(engine, responses[draft.place], settings, shown[draft.place])
            if not cuts[draft.place]:
                final.append(draft)
        if any(cuts):
            final += drafts([place for place, cut in enumerate(cuts) if cut])
    except StageFailed as failed:
        failure = failed
        # What ran out without having been cut may be asked again, so it is not the last word.
        final += [draft for draft in failed.made if cuts[draft.place] or not (may_cut and draft.ran_out)]
    final.sort(key=lambda draft: draft.place)
    if settings.read == "expected":
        try:
            asked = zip(prompts([draft.place for draft in final]), [draft.votes for draft in final], strict=True)
            drawn = final
            final = expect(engine, list(asked), lambda i, votes: replace(drawn[i], votes=votes))
        except StageFailed as failed:
            failure, final = failure or failed, list(failed.made)
    made = [
        make_judgement(responses[d.place], d.votes, judge_name, settings.quorum, cuts[d.place], shown[d.place])
        for d in final
    ]
    if failure:
        raise StageFailed(str(failure), made=made) from failure
    return made


def _draft(place: int, samples: Sequence[Completion], settings: Judge) -> _Draft:
    return _Draft(place, [_vote(s, settings) for s in samples], any(_ran_out(s, settings) for s in samples))


def _vote(completion: Completion, settings: Judge) -> Vote:
    if completion.refused:
        return Vote(score=None, fault="refused", text=completion.text)
    vote = read_vote(completion.text, completion.finished)
    if vote.fault == "truncated" and _ran_out(completion, settings):
        return vote.model_copy(update={"fault": "too_long"})
    return vote


def _ran_out(completion: Completion, settings: Judge) -> bool:
    """Whether the end of the context, and not the limit of the recipe, cut a judgement off; False where nobody counted."""
    if completion.finished or completion.refused or completion.num_tokens is None:
        return False
    return completion.num_tokens < settings.max_tokens
