"""`{"instruction", "input", "output"}`: Stanford Alpaca's instructions, where `input` may be empty or missing."""

from collections.abc import Iterable, Iterator

from selfreward.seeds.forms.row import Form, Found, Row, Text, example


class Instruction(Row):
    instruction: Text
    input: Text | None = None
    output: Text


def read(rows: Iterable[Instruction], language: str) -> Iterator[Found]:
    for row in rows:
        material = (row.input or "").strip()
        yield example(f"{row.instruction.strip()}\n\n{material}" if material else row.instruction, row.output)


FORM = Form((frozenset({"instruction", "output"}),), Instruction, read)
