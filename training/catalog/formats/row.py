"""A row of a table, and how a table is to be read."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from training.catalog.formats.errors import CatalogError, RowError

Say = Callable[[str], None]


class Row(NamedTuple):
    """One row of the table.

    Attributes:
        line: the line in the file where the row starts, from 1; the row's number where lines do not tell rows apart.
        cells: one for each column; empty if there is a ``fault``.
        fault: the reason why the row cannot be split into cells; None if it can.
    """

    line: int
    cells: Sequence[str]
    fault: RowError | None = None


class Columns(NamedTuple):
    """A header and the rows below it, which are read lazily, once."""

    header: Sequence[str]
    rows: Iterable[Row]


def check_names(names: Sequence[str], first: Sequence[str], name: str) -> None:
    """Check that ``--header`` names each column of a table.

    Raises:
        CatalogError: it names more or fewer than the first row has.
    """
    if names and len(names) != len(first):
        raise CatalogError(f"--header names {len(names)} columns, the first row of {name} has {len(first)} cells")


def say_nothing(note: str) -> None:
    """Say nothing."""
    del note


@dataclasses.dataclass(kw_only=True)
class Reading:
    """How a table is to be read, and what was found on the way.

    Args:
        name: the table's name, for messages.
        image_column: column of the pictures.
        encoding: of a text, such as ``cp1254``; None finds it out.
        names: names of the columns of a table without a header; empty if its first row is one.
        say: gets each note for the owner once.
        unreadable: gets the columns that a table has, but that hold no texts: name -> what they hold.
        closing: closes what was opened on the way.
    """

    name: str
    image_column: str = "image"
    encoding: str | None = None
    names: Sequence[str] = ()
    say: Say = say_nothing
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    closing: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
