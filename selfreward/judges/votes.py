"""Reading a judge's answer: one completion is one vote, several votes are one judgement (arXiv 2401.10020, 2.2).

A vote is a number between 0 and 5 or None with the reason; nothing is guessed, rescaled or rounded. Only the judge's
own completion is read, never the prompt with the response in it. The last label "Score:" decides, so that a verdict
quoted or reconsidered on the way does not; what makes its number doubtful (a sum, a range) makes the vote unreadable.
Reading takes time linear in the text.
"""

import math
import re
from collections.abc import Sequence

from selfreward.records import Judgement, Passage, Response, Vote, VoteFault, digest

HIGHEST = 5.0  # points, the top of the rubric's scale; the bottom is 0

# Words that may stand directly before "score" in a verdict. Any other word makes it a score of something else
# ("relevance score: 1"), which must not pass for the verdict when the judge stops before it.
QUALIFIERS = frozenset({"final", "total", "overall", "my", "the", "this", "and", "so"})

_SPACE = " \\t\\xa0"
_MARKUP = "*_`\"'#>~|"
_LABEL = re.compile(
    r"score"
    rf"[{_SPACE}{_MARKUP}\])}}]{{0,16}}"
    rf"(?:\((?P<scale>[^()\n]{{0,40}})\)[{_SPACE}{_MARKUP}]{{0,16}})?"  # Score (0-5): 4
    rf"(?:[:=\uff1a\u2013\u2014]|-(?=[{_SPACE}{_MARKUP}]))",  # a hyphen next to a digit would be a minus
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(
    rf"(?P<gap>[{_SPACE}\r\n{_MARKUP}<\[({{$]{{0,32}})(?:\\boxed\{{)?(?P<number>[-+\u2212]?[0-9]++(?:\.[0-9]++)?+)"
)
# 4/5   4 out of 5   4 points (out of five)
_SCALE = re.compile(
    rf"[^.,;:!?\r\n0-9]{{0,24}}?(?:/|\bof\b)[{_SPACE}{_MARKUP}]{{0,8}}(?P<highest>[0-9]++(?:\.[0-9]++)?+|five\b)",
    re.IGNORECASE,
)
# what makes the number part of something longer: 4,5  4%  4th  3-4  3 or 4  1 + 1 = 2  4 1/2  3 -> 4  4 out of the 10
_DOUBT = re.compile(
    rf"[^{_SPACE}\r\n{_MARKUP}.,;:!?\])}}$(<\u2013\u2014-]"
    r"|[.,:][0-9]"
    rf"|[{_SPACE}]*(?:[^\w\s.,;:!?\"'()\[\]]+|(?:x|to|or|and|in)\b)[{_SPACE}]*[0-9]"
    rf"|[,;]?[{_SPACE}]+(?:[0-9%\xbc\xbd\xbe]|and a half\b)"
    rf"|[{_SPACE}{_MARKUP}]*\(?(?:/|out\b|of\b)",
    re.IGNORECASE,
)
_LINE_END = re.compile(rf"[{_SPACE}.{_MARKUP}\])}}$]{{0,16}}(?:[\r\n]|\Z)")
_WINDOW = 48  # characters looked at around a label; all patterns are bounded or possessive, so nothing backtracks far


def read_vote(text: str, finished: bool) -> Vote:
    """The vote in one completion of a judge; `finished` is False when the completion was cut at the token limit.

    A fault is `out_of_range` where the number is not on the scale 0..5 (also "3/10", "60%"), `truncated` where the
    completion was cut before the score was complete, and `unreadable` where a finished one has no clear score.
    """
    score, fault = _read(text, finished)
    return Vote(score=score, fault=fault, text=text)


def split_verdict(text: str) -> tuple[str, str]:
    """(what stands before the verdict, the verdict to the end of its line) of a judgement that could be read.

    What was written after that line is left off. ValueError where there is no verdict.
    """
    label, value = _verdict(text)
    if label is None or value is None:
        raise ValueError("A judgement without a verdict cannot be split at it.")
    end_of_line = re.search(r"[\r\n]|\Z", text[value.end() :])
    assert end_of_line is not None  # \Z is always there
    return text[: label.start()], text[label.start() : value.end() + end_of_line.start()]


def before_points(text: str) -> str:
    """What a judge wrote before the points of its verdict. ValueError where there is no verdict."""
    _, value = _verdict(text)
    if value is None:
        raise ValueError("A judgement without a verdict has nothing before its points.")
    number = value["number"]
    return text[: value.start("number") + len(number) - len(number.lstrip("+-\u2212"))]


def judgement_id(judge: str, response_id: str) -> str:
    """The id of the judgement that `judge` gives to a response."""
    return digest("judgement", judge, response_id)


def make_judgement(
    response: Response,
    votes: Sequence[Vote],
    judge: str,
    quorum: int = 1,
    cut: int = 0,
    evidence: Sequence[Passage] = (),
) -> Judgement:
    """The votes of one response as a judgement: its score is the mean of the votes that could be read, not rounded.

    Below `quorum` readable votes the score is None. `cut` characters of the response's end were not shown to the judge.
    ValueError for a quorum below 1, which would score nothing.
    """
    if quorum < 1:
        raise ValueError(f"The quorum must be at least 1 readable vote, not {quorum}.")
    scores = [vote.score for vote in votes if vote.score is not None]
    return Judgement(
        id=judgement_id(judge, response.id),
        response_id=response.id,
        prompt_id=response.prompt_id,
        prompt=response.prompt,
        response=response.text,
        judge=judge,
        votes=tuple(votes),
        # fsum rounds once, so equal votes in another order give the same mean and remain a tie
        score=math.fsum(scores) / len(scores) if len(scores) >= quorum else None,
        coverage=len(scores) / len(votes) if votes else 0.0,
        cut=cut,
        evidence=tuple(evidence),
    )


def _read(text: str, finished: bool) -> tuple[float | None, VoteFault | None]:
    """The score, or None and why there is none."""
    nothing: VoteFault = "unreadable" if finished else "truncated"
    label, value = _verdict(text)
    if label is None:
        return None, nothing
    if value is None:
        return None, "unreadable" if re.search(r"\w", text[label.end() :]) else nothing
    scale = _SCALE.match(text, value.end())
    end = scale.end() if scale else value.end()
    if not finished and not re.search(r"[\r\n]", text[end:]):
        return None, "truncated"  # "Score: 1" may be the beginning of 1.5, of 10 and of 1/10
    is_listed = re.search(r"[\r\n]", value["gap"]) and not _LINE_END.match(text, end)  # a list below "Score:"
    points = float(value["number"].lstrip("+\u2212-"))
    if points > HIGHEST or (points and value["number"][0] in "-\u2212"):
        return None, "out_of_range"
    if is_listed or _DOUBT.match(text, end, end + _WINDOW):
        return None, "unreadable"
    stated = (label["scale"], scale["highest"] if scale else None)
    if any(_stated_highest(part) != HIGHEST for part in stated if part is not None):
        return None, "out_of_range"
    return points, None


def _verdict(text: str) -> tuple[re.Match[str] | None, re.Match[str] | None]:
    """The label of the last verdict and the number behind it, each None where there is none."""
    label = None
    for candidate in _LABEL.finditer(text):
        if _is_verdict(text, candidate.start()):
            label = candidate
    return label, _NUMBER.match(text, label.end()) if label else None


def _is_verdict(text: str, start: int) -> bool:
    """Whether the label that starts here is a whole word, and the score of the response rather than of a part."""
    before = text[max(0, start - _WINDOW) : start].rstrip(f" \t\xa0{_MARKUP}")
    word = re.search(r"[^\W_]+\Z", before)
    return word is None or word[0].lower() in QUALIFIERS


def _stated_highest(scale: str) -> float | None:
    """The top of a scale as the judge names it ("0-5", "five"); None where it names no number."""
    numbers = re.findall(r"[0-9]+(?:\.[0-9]+)?", scale)
    if numbers:
        return float(numbers[-1])
    return HIGHEST if scale.lower() == "five" else None
