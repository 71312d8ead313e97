"""Records as Parquet, whole: one column for each field, the same types whatever the values are."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from selfreward.records import Record
from selfreward.text import whole

ROWS_AT_ONCE = 10_000


def write_parquet(path: Path, record_type: type[Record], records: Iterable[Record]) -> int:
    """Writes a file of records; returns how many. Lone surrogates, which Arrow cannot hold, become U+FFFD."""
    import pyarrow as pa
    from pyarrow import parquet

    schema, num_rows, records = pa.schema(_fields(record_type)), 0, iter(records)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(islice(records, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist([_whole(record.model_dump()) for record in some], schema))
            num_rows += len(some)
    return num_rows


def _fields(record_type: type[Record]) -> list[Any]:
    import pyarrow as pa

    return [pa.field(name, _arrow(field.annotation)) for name, field in record_type.model_fields.items()]


def _arrow(annotation: Any) -> Any:
    """The Arrow type of a field: texts, numbers, truth values, tuples of one type, records, and None besides any of them."""
    import pyarrow as pa

    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if annotation in plain:
        return plain[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return pa.struct(_fields(annotation))
    inner = [argument for argument in get_args(annotation) if argument not in (NoneType, Ellipsis)]
    if get_origin(annotation) is Literal:
        return _arrow(type(inner[0]))
    return pa.list_(_arrow(inner[0])) if get_origin(annotation) is tuple else _arrow(inner[0])


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list | tuple) else value
