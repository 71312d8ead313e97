"""`{"prompt", "responses": [{"text", "rank"}, ...]}`, where rank 0 is the best, or with `quality`, where more is better.

Equal ranks and equal qualities are ties. A response that nobody ranked (null) is left out. A `category` of the prompt may stand
beside them, as a text or a number.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from selfreward.seeds.forms.row import Form, Found, Row, Text, ranked_set


class Ranked(Row):
    text: Text
    rank: Annotated[int, Field(ge=0)] | None = None
    quality: Annotated[float, Field(allow_inf_nan=False)] | None = None


class RankedRow(Row):
    prompt: Text
    responses: list[Ranked]
    category: Text | int | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if any(response.model_fields_set <= {"text"} for response in self.responses):
            raise ValueError("every response must have a rank or a quality, null where nobody gave one")
        if any(r.rank is not None for r in self.responses) and any(r.quality is not None for r in self.responses):
            raise ValueError("the responses must have ranks or qualities, not both")
        return self


def read(rows: Iterable[RankedRow], language: str) -> Iterator[Found]:
    for row in rows:
        by_quality = sorted({r.quality for r in row.responses if r.quality is not None}, reverse=True)
        ranks = [r.rank if r.quality is None else by_quality.index(r.quality) for r in row.responses]
        yield from ("responses_unranked" for rank in ranks if rank is None)
        texts = (response.text for response in row.responses)
        ranked = [(t, rank) for t, rank in zip(texts, ranks, strict=True) if rank is not None]
        yield ranked_set(row.prompt, ranked, None if row.category is None else str(row.category))


FORM = Form((frozenset({"prompt", "responses"}),), RankedRow, read, is_ranked=True)
