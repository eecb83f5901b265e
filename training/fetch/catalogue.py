"""Read the addresses of a catalogue, and write it again with the names of the files that they became."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from training.catalog.files import CatalogError, CatalogFiles, RowError, open_files
from training.catalog.formats.row import say_nothing
from training.catalog.pictures.cells import read_cell
from training.catalog.rows import open_source_table, table_columns
from training.catalog.source import CatalogSource
from training.fetch.store import DETAILS
from training.system.storage import atomic_path

TABLE, ERRORS = "products.csv", "errors.csv"
ADDRESS_COLUMN = "image_address"
ERROR_COLUMNS = ("line", "address", "reason", "detail")
FIRST, ALL = PICTURES = ("first", "all")


class AddressRow(NamedTuple):
    """A row of the table.

    Attributes:
        line: in the file, from 1.
        cells: all; empty if there is a ``fault``.
        names: of pictures that are files beside the table.
        addresses: of pictures on the web.
        fault: the reason why the row cannot be split into cells.
    """

    line: int
    cells: Sequence[str]
    names: Sequence[str] = ()
    addresses: Sequence[str] = ()
    fault: RowError | None = None


class AddressTable:
    """A catalogue with addresses in its column of pictures.

    Args:
        path: of the catalogue.
        image_column: of the pictures.
        pictures: ``first`` reads the first picture of each cell, ``all`` reads all.

    Attributes:
        header: of the table.
        files: of the catalogue.

    Raises:
        CatalogError: it cannot be read, or has no such column; also while it is read.
    """

    def __init__(self, path: str, *, image_column: str, pictures: str) -> None:
        self.path = path
        self.files: CatalogFiles = open_files(path)
        self._column = image_column
        self._pictures = pictures
        self._source = CatalogSource(path=path, image_column=image_column)
        self.header = table_columns(self._source, self.files)
        if image_column not in self.header:
            columns = ", ".join(map(repr, self.header))
            raise CatalogError(
                f"{self.files.table_name} has no column {image_column!r}; its columns are {columns}: name the one with "
                "the addresses by --image-column"
            )

    @property
    def place(self) -> int:
        """Position of the column of pictures."""
        return self.header.index(self._column)

    def rows(self) -> Iterator[AddressRow]:
        """All rows, from the start."""
        with open_source_table(self._source, self.files, say_nothing) as (table, _):
            for row in table.rows:
                if row.fault is not None:
                    yield AddressRow(row.line, (), fault=row.fault)
                    continue
                read = read_cell(row.cells[self.place].strip(), is_file=self._is_file)
                names, addresses = read.names, read.addresses
                if self._pictures == FIRST:
                    names, addresses = names[:1], addresses[:1] if not names else ()
                yield AddressRow(row.line, row.cells, names, addresses)

    def addresses(self) -> list[str]:
        """Each address once, in the table's order.

        Raises:
            CatalogError: there is none.
        """
        found = dict.fromkeys(address for row in self.rows() for address in row.addresses)
        if not found:
            raise CatalogError(
                f"{self.files.table_name} has no web address in the column {self._column!r}: there is nothing to fetch"
            )
        return list(found)

    def _is_file(self, name: str) -> bool:
        return self.files.names.find(name).path is not None


def write_catalogue(
    out: Path, table: AddressTable, *, file_of: Callable[[str], str | None], reason_of: Callable[[str], tuple[str, str]]
) -> Path:
    """Write the table with names of files in its column of pictures, and ``fetch/errors.csv``.

    Several pictures of a product are separated by ``|``. The old cells stay in the column ``image_address``.

    Args:
        file_of: the file of an address or of a name beside the old table, relative to ``out``; None for none.
        reason_of: why there is none.

    Returns:
        The path of the new table.
    """
    with _writer(out / TABLE) as write, _writer(out / DETAILS / ERRORS) as write_error:
        write([*table.header, ADDRESS_COLUMN])
        write_error(ERROR_COLUMNS)
        for row in table.rows():
            if row.fault is not None:
                write_error((row.line, "", row.fault.reason, row.fault.detail))
                continue
            files = []
            for each in (*row.names, *row.addresses):
                if (file := file_of(each)) is not None:
                    files.append(file)
                else:
                    write_error((row.line, each, *reason_of(each)))
            cells = list(row.cells)
            cells[table.place] = "|".join(files)
            write([*cells, row.cells[table.place]])
    return out / TABLE


@contextmanager
def _writer(path: Path) -> Iterator[Callable[[Sequence[object]], object]]:
    with ExitStack() as stack:
        partial = stack.enter_context(atomic_path(path))
        file = stack.enter_context(partial.open("w", encoding="utf-8", newline="", errors="replace"))
        yield csv.writer(file, lineterminator="\n").writerow
