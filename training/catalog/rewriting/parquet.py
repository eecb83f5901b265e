"""Replace values in columns of a Parquet; its schema, row groups and compression stay."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from training.catalog.formats.errors import CatalogError
from training.catalog.formats.row import Reading
from training.catalog.rewriting.changes import Changes


def rewrite_parquet(stream: IO[bytes], reading: Reading, changes: Changes, out: Path) -> None:
    """Write the table with other values. A row group is held in memory.

    Raises:
        CatalogError: a column is of a kind that has no such value.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - the import takes 0.2 s, and a CSV does not need it

    source = pq.ParquetFile(stream)
    schema = source.schema_arrow
    with pq.ParquetWriter(out, schema, compression=_compression(source.metadata)) as writer:
        line = 0
        for number in range(source.num_row_groups):
            group = source.read_row_group(number)
            own = {row - line - 1: changes[row] for row in changes if line < row <= line + len(group)}
            for column in dict.fromkeys(name for values in own.values() for name in values):
                texts = {row: values[column] for row, values in own.items() if column in values}
                place = group.schema.get_field_index(column)
                group = group.set_column(place, schema.field(column), _replaced(group[column], texts, reading, column))
            writer.write_table(group, row_group_size=max(1, len(group)))
            line += len(group)


def _compression(metadata: Any) -> dict[str, str] | str:
    """The compression of each column, by its path; "none" for a table without rows."""
    if not metadata.num_row_groups:
        return "none"
    group = metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return {each.path_in_schema: "none" if each.compression == "UNCOMPRESSED" else each.compression for each in columns}


def _replaced(values: Any, texts: Mapping[int, str], reading: Reading, column: str) -> Any:
    """A column with other values in some rows, in its own type."""
    import pyarrow as pa  # noqa: PLC0415

    kind = values.type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    cells: Sequence[Any] = values.to_pylist()
    try:
        new = dict(zip(texts, pa.array(list(texts.values()), pa.string()).cast(plain).to_pylist(), strict=True))
        whole = pa.array([new.get(row, cell) for row, cell in enumerate(cells)], plain)
        return whole.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else whole
    except (pa.ArrowException, TypeError, ValueError) as error:
        shown = ", ".join(map(repr, list(texts.values())[:3]))
        raise CatalogError(
            f"{reading.name}: the column {column!r} holds {kind}, which has no {shown} ({error})"
        ) from error
