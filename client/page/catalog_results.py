"""Keeps the results of catalogues that were scored on the page, and reads the rows that it shows."""

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

SHOWN_ROWS = 100
SHOWN_CELL = 500
UNUSED = 3600.0


@contextmanager
def scores_folder(folder: Path, table: Path, *, asked: Sequence[str]) -> Iterator[Path]:
    """The output folder of a catalogue; an interrupted run in it continues.

    Complete results are removed first, since another click asks for new ones. Folders that were not used for ``UNUSED``
    seconds are removed too.

    Args:
        folder: folder that contains only output folders.
        table: uploaded table.
        asked: columns, model and version.

    Raises:
        ClientError: the table no longer exists.
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
    """The first ``SHOWN_ROWS`` rows of a CSV, with cells cut after ``SHOWN_CELL`` characters.

    Uses pandas, since the csv module refuses cells above 131,072 characters, a limit of the whole process.
    """
    table = pd.read_csv(path, nrows=SHOWN_ROWS, dtype=str, keep_default_na=False, index_col=False)
    return [
        {str(name): cell if len(cell) <= SHOWN_CELL else f"{cell[:SHOWN_CELL]} …" for name, cell in row.items()}
        for row in table.to_dict("records")
    ]


def _name(table: Path, asked: Sequence[str]) -> str:
    try:
        with table.open("rb") as file:
            found = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise ClientError(f"{table.name} cannot be read ({error.strerror}): upload it again") from error
    found.update(repr([table.suffix, *asked]).encode())
    return found.hexdigest()[:32]
