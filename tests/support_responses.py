"""Responses for tests of judges."""

from selfreward.records import Response


def responses(*texts: str) -> list[Response]:
    """Responses r0, r1 ... to one prompt."""
    return [
        Response(
            id=f"r{sample}",
            prompt_id="p",
            prompt="Name a fish.",
            text=text,
            model="m1",
            sample=sample,
            num_tokens=1,
            finished=True,
        )
        for sample, text in enumerate(texts)
    ]
