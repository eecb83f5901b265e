"""A catalogue of products: a CSV and pictures, read and checked; read = used + rejected, with a reason for each row.

Two layouts are read, each as a folder, as the CSV in it, or straight from a zip:

- *Fashion Product Images* of Kaggle: ``styles.csv`` and ``images/<id>.jpg``;
- any CSV with named columns, ``image,text,label`` unless told otherwise; picture paths are relative to the CSV.

A row needs a label and at least one of picture and title: an empty cell means that this side is missing, and a picture
that is named but missing or broken rejects the row. Reasons: ``row_malformed``, ``id_empty``, ``id_duplicate`` (the
first one counts), ``label_empty``, ``product_empty``, ``image_outside``, ``image_missing``, and the server's own names
for what it would refuse as well: ``text_too_long``, ``image_corrupt``, ``image_empty``, ``image_bad_shape``,
``image_too_large``, ``unsupported_image``.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

from training.catalog_files import CatalogError, CatalogFiles, RowError, inside, open_files
from training.catalog_images import LIMITS, decode_picture
from training.catalog_sampling import sample_products
from training.catalog_table import IMAGE_COLUMN, KAGGLE_ID, KAGGLE_TITLE, Table, read_table
from training.threads import map_threads

__all__ = ["Catalog", "CatalogError", "CatalogSource", "read_catalog", "sample_products"]

TEXT_COLUMN = "text"
LABEL_COLUMN = "label"
ID_COLUMN = KAGGLE_ID
KAGGLE_LABEL = "articleType"
PRODUCT_COLUMNS = ("id", "image", "text", "label")
REJECTED_COLUMNS = ("line", "id", "reason", "detail")
EXAMPLE_LENGTH = 160


@dataclasses.dataclass(frozen=True, kw_only=True)
class CatalogSource:
    """Where a catalogue lies and what its columns are called; enough to read it again.

    Args:
        path: a CSV, a folder that holds one, or a zip that holds one.
        image_column: column of the picture's path, relative to the CSV; the Kaggle layout has none.
        text_column: column of the title; ``productDisplayName`` in the Kaggle layout.
        label_column: column to be predicted; None takes ``label``, or ``articleType`` in the Kaggle layout.
        id_column: column of the product's id; None takes ``id`` where there is one, else the row's line in the file.
    """

    path: str
    image_column: str = IMAGE_COLUMN
    text_column: str = TEXT_COLUMN
    label_column: str | None = None
    id_column: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Catalog:
    """A catalogue that was read. It may be used from threads, forked and spawned processes.

    Args:
        source: with the columns that were found; reading it again gives the same catalogue.
        products: index 0..n-1; columns ``id``, ``image`` (path relative to the CSV, "" for none), ``text`` ("" for
            none) and ``label``, all str; in the order of the file.
        rejected: columns ``line`` (int, from 1), ``id``, ``reason``, ``detail``; in the order of the file.
        read: rows read, those of ``products`` and ``rejected`` together.
        files: where the pictures are read from.
    """

    source: CatalogSource
    products: pd.DataFrame
    rejected: pd.DataFrame
    read: int
    files: CatalogFiles

    def image_bytes(self, name: str) -> bytes:
        """The encoded picture, as in the column ``image``.

        Raises:
            CatalogError: it cannot be read any more; the message names it.
        """
        return self.files.read(name)

    def summary(self) -> str:
        """One line: rows read, used and rejected, and how often for which reason."""
        counts = self.rejected["reason"].value_counts()
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
        rejected = f"{len(self.rejected):,} rejected" + (f" ({reasons})" if reasons else "")
        return f"{self.read:,} rows read = {len(self.products):,} used + {rejected}"


def read_catalog(
    source: CatalogSource, *, check_images: bool = True, max_rejected: float = 0.05, progress: bool = True
) -> Catalog:
    """Read a catalogue and check every row and picture.

    Args:
        source: what to read.
        check_images: decode every picture; without it, only their paths are looked at, as is enough for a catalogue
            that was checked before.
        max_rejected: share of rejected rows, 0..1, above which the catalogue is refused.
        progress: show a progress bar.

    Raises:
        CatalogError: the catalogue cannot be used; the message says what to mend.
    """
    if not 0 <= max_rejected <= 1:
        raise CatalogError(f"max_rejected must be in [0, 1], got {max_rejected}")
    files = open_files(source.path)
    table = _table(source, files)
    source = _resolved(source, table, files.csv_name)
    candidates = list(_candidates(source, table))
    if check_images:
        candidates = _with_images_checked(candidates, files, progress=progress)
    catalog = _collected(source, candidates, files)
    _check_budget(catalog, max_rejected)
    return catalog


class _Candidate(NamedTuple):
    """A row as read: its cells by role, and why it is rejected, if it is."""

    line: int
    id: str
    image: str
    text: str
    label: str
    fault: RowError | None = None


def _table(source: CatalogSource, files: CatalogFiles) -> Table:
    try:
        content = files.read(PurePosixPath(files.csv_name).name)
    except RowError as error:
        raise CatalogError(error.detail) from error
    return read_table(content, name=files.csv_name, image_column=source.image_column)


def _resolved(source: CatalogSource, table: Table, name: str) -> CatalogSource:
    """``source`` with the columns that the table has.

    Raises:
        CatalogError: a column is not there, or there twice.
    """
    found = dataclasses.replace(
        source,
        text_column=KAGGLE_TITLE if table.is_kaggle and source.text_column == TEXT_COLUMN else source.text_column,
        label_column=source.label_column or (KAGGLE_LABEL if table.is_kaggle else LABEL_COLUMN),
        id_column=source.id_column or (ID_COLUMN if ID_COLUMN in table.header else None),
    )
    image = KAGGLE_ID if table.is_kaggle else found.image_column
    for column in (image, found.text_column, found.label_column, found.id_column):
        if column is not None:
            _check_column(column, table.header, name)
    return found


def _check_column(column: str, header: Sequence[str], name: str) -> None:
    if column not in header:
        hint = "" if len(header) > 1 else " (cells are separated by commas)"
        columns = ", ".join(map(repr, header))
        raise CatalogError(f"{name} has no column {column!r}; its columns are {columns}{hint}")
    if header.count(column) > 1:
        raise CatalogError(f"{name} has the column {column!r} {header.count(column)} times: rename all but one")


def _candidates(source: CatalogSource, table: Table) -> Iterator[_Candidate]:
    place = {column: position for position, column in enumerate(table.header)}
    lines: dict[str, int] = {}
    for row in table.rows:
        if row.fault is not None:
            yield _Candidate(row.line, "", "", "", "", row.fault)
            continue
        cells = {column: row.cells[position].strip() for column, position in place.items()}
        product = _Candidate(
            line=row.line,
            id=cells[source.id_column] if source.id_column else str(row.line),
            image=f"images/{cells[KAGGLE_ID]}.jpg" if table.is_kaggle else cells[source.image_column],
            text=cells[source.text_column],
            label=cells[str(source.label_column)],
        )
        try:
            _check_cells(product, lines)
        except RowError as error:
            product = product._replace(fault=error)
        lines.setdefault(product.id, row.line)
        yield product


def _check_cells(product: _Candidate, lines: Mapping[str, int]) -> None:
    if not product.id:
        raise RowError("id_empty", "the id is empty")
    if product.id in lines:
        raise RowError("id_duplicate", f"line {lines[product.id]} has the id {product.id!r} already")
    if not product.label:
        raise RowError("label_empty", "the label is empty")
    if not product.image and not product.text:
        raise RowError("product_empty", "neither a picture nor a title")
    if len(product.text) > LIMITS.max_text_chars:
        raise RowError("text_too_long", f"the title has more than {LIMITS.max_text_chars} characters")
    inside(product.image)


def _with_images_checked(candidates: Sequence[_Candidate], files: CatalogFiles, *, progress: bool) -> list[_Candidate]:
    names = list(dict.fromkeys(each.image for each in candidates if each.image and each.fault is None))

    def fault_of(name: str) -> RowError | None:
        try:
            decode_picture(files.read(name), name=name)
        except RowError as error:
            return error
        return None

    faults = dict(
        zip(names, map_threads(fault_of, names, description="checking pictures", progress=progress), strict=True)
    )
    return [each._replace(fault=each.fault or faults.get(each.image)) for each in candidates]


def _collected(source: CatalogSource, candidates: Sequence[_Candidate], files: CatalogFiles) -> Catalog:
    used = [(each.id, each.image, each.text, each.label) for each in candidates if each.fault is None]
    rejected = [(each.line, each.id, each.fault.reason, each.fault.detail) for each in candidates if each.fault]
    return Catalog(
        source=source,
        products=pd.DataFrame(used, columns=list(PRODUCT_COLUMNS), dtype="str"),
        rejected=pd.DataFrame(rejected, columns=list(REJECTED_COLUMNS)).astype(
            {"line": "int64", "id": "str", "reason": "str", "detail": "str"}
        ),
        read=len(candidates),
        files=files,
    )


def _check_budget(catalog: Catalog, max_rejected: float) -> None:
    rejected = len(catalog.rejected)
    if len(catalog.products) and rejected <= max_rejected * catalog.read:
        return
    share = rejected / catalog.read
    mend = f"mend the catalogue, or allow it with --max-rejected {math.ceil(share * 100) / 100}"
    if catalog.products.empty:
        mend = "no row is left to use: mend the catalogue"
    raise CatalogError(
        f"{catalog.source.path}: {rejected:,} of {catalog.read:,} rows are rejected ({share:.1%}), "
        f"allowed are {max_rejected:.1%}; {mend}\n" + "\n".join(_reasons(catalog.rejected))
    )


def _reasons(rejected: pd.DataFrame) -> Iterator[str]:
    """One line a reason, the most frequent first, with how often and where it came up first."""
    for reason, rows in sorted(rejected.groupby("reason"), key=lambda item: -len(item[1])):
        line, detail = rows.iloc[0][["line", "detail"]]
        yield f"  {reason}: {len(rows):,}, first in line {line}: {detail[:EXAMPLE_LENGTH]}"
