"""From the cells of the column of pictures to the files of a product, or to the reason why there is none."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from training.catalog.files import CatalogFiles, RowError, safe_path
from training.catalog.notes import ADDRESSES, RESPELLED, SAYS_NONE, SEVERAL, CatalogNotes
from training.catalog.pictures.cells import PictureCell, read_cell

DATA_ADDRESS = "data:"


class Pictures(NamedTuple):
    """The pictures of a product.

    Attributes:
        image: the first whose file is there; else the first that is named; "" for none.
        all: every one that is named, with ``image`` among them.
        address: the first web address, if no file is named; "" if there is none.
    """

    image: str = ""
    all: Sequence[str] = ()
    address: str = ""


class PictureColumn:
    """Reads the pictures of the rows of one table.

    Attributes:
        has: True if a file has exactly this relative path.

    Args:
        files: the catalogue's.
        notes: counts what is not written as the files are.
        cells: gives all cells of the column, from the start; read once, if names and files differ by their folders.
    """

    def __init__(self, files: CatalogFiles, notes: CatalogNotes, cells: Callable[[], Iterable[str]]) -> None:
        self._names = files.names
        self.has = files.names.has
        self._notes = notes
        self._cells = cells

    def read(self, cells: Sequence[str]) -> Pictures:
        """The pictures of a product.

        Args:
            cells: of its rows, without blanks around; empty ones are left out.
        """
        read = [self._read_cell(cell) for cell in cells if cell]
        names = list(dict.fromkeys(name for cell in read for name in cell.names))
        addresses = [address for cell in read for address in cell.addresses]
        if not names:
            if not addresses and any(cell.says_none for cell in read):
                self._notes.add(SAYS_NONE, repr(cells[0]))
            return Pictures(address=addresses[0] if addresses else "")
        found = [self._file_of(name) for name in names]
        image = next((path for path, is_there in found if is_there), found[0][0])
        if len(names) + len(addresses) > 1:
            self._notes.add(SEVERAL, repr(cells[0]) if len(cells) == 1 else f"{cells[0]!r}, {cells[1]!r}")
        return Pictures(image, tuple(dict.fromkeys(path for path, _ in found)))

    def without_title(self, address: str) -> RowError:
        """The reason against a row that has only the web address of a picture."""
        return RowError(
            "image_outside", f"{address!r} is a web address, and there is no title; `python -m training fetch` gets it"
        )

    def used_by_title(self, address: str) -> None:
        """Count a row whose picture is on the web."""
        self._notes.add(ADDRESSES, repr(address))

    def _read_cell(self, cell: str) -> PictureCell:
        if cell[: len(DATA_ADDRESS)].lower() == DATA_ADDRESS:
            return PictureCell([cell])
        return read_cell(cell, is_file=self._is_file)

    def _is_file(self, name: str) -> bool:
        """Without folders that are left out, or the end of a list would be taken for its file."""
        found = self._names.find(name)
        return found.path is not None and not found.shortened

    def _file_of(self, name: str) -> tuple[str, bool]:
        """The path of a picture and True, or its name and False."""
        found = self._names.find(name)
        if found.shortened and not self._names.knows_shared:
            self._names.note_cells(each for cell in self._cells() for each in self._names_in(cell))
            found = self._names.find(name)
        if found.path is None:
            return name, False
        if found.exact:
            return name, True
        # A name on the disk may hold bytes that are no text; the table's own name is kept then, and finds it again.
        with contextlib.suppress(UnicodeEncodeError):
            found.path.encode("utf-8")
            self._notes.add(RESPELLED, f"{name!r} for {found.path!r}")
            return found.path, True
        return name, True

    def _names_in(self, cell: str) -> Sequence[str]:
        return self._read_cell(cell.strip()).names if cell.strip() else ()


def check_picture_path(name: str) -> None:
    """Refuse a name that leads out of the catalogue's folder.

    Raises:
        RowError: ``image_outside``, or ``image_missing`` for a name that no file can have.
    """
    if name[: len(DATA_ADDRESS)].lower() == DATA_ADDRESS:
        raise RowError("image_outside", "the picture stands in the cell as a data: address; write it as a file")
    safe_path(name)
