"""Rows of a table whose records name their own values, as in JSON and XML."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from training.catalog.formats.errors import CatalogError, RowError
from training.catalog.formats.row import Columns, Reading, Row

Record = tuple[int, Mapping[str, str] | RowError]
_SAMPLE_RECORDS, _SAMPLE_CHARACTERS = 10_000, 2**24


def tabulate(records: Iterable[Record], reading: Reading) -> Columns:
    """The columns that the first records name, and a row for each record, read lazily.

    Args:
        records: line number with the values by name, or with the reason why they cannot be read.

    Raises:
        CatalogError: no record can be read.
    """
    if reading.names:
        raise CatalogError(f"{reading.name} names its columns itself: leave out --header")
    remaining = iter(records)
    sample: list[Record] = []
    header: dict[str, None] = {}
    characters = 0
    for line, values in remaining:
        sample.append((line, values))
        if not isinstance(values, RowError):
            header.update(dict.fromkeys(values))
            characters += sum(map(len, values.values()))
        if len(sample) == _SAMPLE_RECORDS or characters > _SAMPLE_CHARACTERS:
            break
    if not header:
        fault = next((values.detail for _, values in sample if isinstance(values, RowError)), "it has no record")
        raise CatalogError(f"{reading.name} has no row that can be read: {fault}")
    return Columns(list(header), _rows(itertools.chain(sample, remaining), list(header)))


def _rows(records: Iterable[Record], header: Sequence[str]) -> Iterator[Row]:
    for line, values in records:
        if isinstance(values, RowError):
            yield Row(line, [], values)
        else:
            yield Row(line, [values.get(name, "") for name in header])
