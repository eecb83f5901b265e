"""Where the page keeps the scores of catalogues, and what it shows of their files."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from client.api.errors import ClientError
from client.scoring.outputs import SUMMARY

SHOWN = 100
SHOWN_CELL = 500
UNUSED = 3600.0


@contextmanager
def scores_folder(folder: Path, table: Path, *, asked: Sequence[str]) -> Iterator[Path]:
    """The folder of a catalogue's scores, which a click that was interrupted has left its answers in.

    One that is complete is emptied: whoever clicks again wants it scored again. Those that nobody has used for
    ``UNUSED`` seconds are removed.

    Args:
        folder: of all scores, and of nothing else.
        table: that was uploaded.
        asked: what else tells scores apart: columns, model and version.

    Raises:
        ClientError: the table is there no more.
    """
    out = folder / _name(table, asked)
    for other in folder.iterdir():
        old = time.time() - other.stat().st_mtime > UNUSED
        if (other / SUMMARY).exists() if other == out else old:
            shutil.rmtree(other, ignore_errors=True)
    out.mkdir(exist_ok=True)
    try:
        yield out
    finally:
        os.utime(out)


def first_rows(path: Path) -> list[dict[str, str]]:
    """The first ``SHOWN`` rows of a CSV, cells beyond ``SHOWN_CELL`` characters cut.

    The csv module would refuse a cell of more than 131,072 characters, and its limit is that of the whole process.
    """
    table = pd.read_csv(path, nrows=SHOWN, dtype=str, keep_default_na=False, index_col=False)
    return [{str(name): _cut(cell) for name, cell in row.items()} for row in table.to_dict("records")]


def _cut(cell: str) -> str:
    return cell if len(cell) <= SHOWN_CELL else f"{cell[:SHOWN_CELL]} …"


def _name(table: Path, asked: Sequence[str]) -> str:
    try:
        with table.open("rb") as file:
            found = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise ClientError(f"{table.name} cannot be read ({error.strerror}): upload it again") from error
    found.update(repr([table.suffix, *asked]).encode())
    return found.hexdigest()[:32]
