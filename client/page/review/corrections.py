"""The file of corrections: a line for each decision of a person, written at once.

It has the columns that ``python -m training train --corrections`` reads: ``id``, ``column``, ``given``, ``label``. An
empty ``column`` is the main attribute's. ``given``, the label in the catalogue, is empty: scoring reads no labels.
"""

import csv
import io
from pathlib import Path

from client.api.errors import ClientError
from training.system.storage import CSV_ENCODING, locked, write_text

COLUMNS = ("id", "column", "given", "label")
_NEEDED = {"id", "label"}
_PATIENCE = 10.0  # seconds; another page writes the same file in milliseconds
Row = dict[str, str]


class Corrections:
    """A file of corrections. Other programs may write it too: each change reads it again.

    Args:
        path: of the file; it need not exist.

    Raises:
        ClientError: it is no file of corrections.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read()

    def labels(self, *, attribute: str = "") -> dict[str, str]:
        """The right labels by id, of the main attribute.

        Args:
            attribute: its name, if it is known.

        Raises:
            ClientError: it is no file of corrections any more.
        """
        return {row["id"]: row["label"] for row in self._read() if row["column"] in ("", attribute)}

    def put(self, id: str, label: str, *, attribute: str = "") -> None:
        """Write a decision in place of an earlier one for the product, if there is one.

        Raises:
            ClientError: the id or the label is empty, or the file is none of corrections any more.
            StorageError: the file cannot be written.
        """
        # As training reads them: a cell's blanks at its ends do not count.
        id, label = id.strip(), " ".join(label.split())
        if not id:
            raise ClientError("the product has no id: a correction needs the one that it has in the catalogue")
        if not label:
            raise ClientError("the right class is empty: choose one")
        self._change(id, {"id": id, "column": "", "given": "", "label": label}, attribute)

    def remove(self, id: str, *, attribute: str = "") -> None:
        """Take the decision for a product out of the file.

        Raises:
            ClientError: the file is none of corrections any more.
            StorageError: the file cannot be written.
        """
        self._change(id.strip(), None, attribute)

    def _change(self, id: str, row: Row | None, attribute: str) -> None:
        lock = self.path.with_name(f".{self.path.name}.lock")
        with locked(lock, taken=f"another program is writing {self.path}; try again", wait=_PATIENCE):
            rows = self._read()
            place = next(
                (at for at, each in enumerate(rows) if each["id"] == id and each["column"] in ("", attribute)),
                len(rows),
            )
            if row is not None and place < len(rows):
                row = {**row, "column": rows[place]["column"], "given": rows[place]["given"]}
            rows[place : place + 1] = [] if row is None else [row]
            buffer = io.StringIO()
            table = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
            write_text(self.path, buffer.getvalue(), encoding=CSV_ENCODING)

    def _read(self) -> list[Row]:
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ClientError(f"{self.path} cannot be read ({error}); name another file with --corrections") from error
        table = csv.DictReader(io.StringIO(text, newline=""))
        header = set(table.fieldnames or ())
        if text.strip() and not (_NEEDED <= header <= set(COLUMNS)):
            raise ClientError(
                f"{self.path} is no file of corrections: its columns are {', '.join(table.fieldnames or ())}, and not "
                f"{', '.join(COLUMNS)} separated by commas; name another file with --corrections"
            )
        rows = list(table)
        if any(None in row for row in rows):
            raise ClientError(f"{self.path} has a line with more cells than columns: mend it, or name another file")
        return [{name: row.get(name) or "" for name in COLUMNS} for row in rows]
