"""Read a catalogue of products and check every row: each one is used, or rejected with a reason.

Three layouts are known, each in a folder, as a table, or in a zip:

- *Fashion Product Images* of Kaggle: ``styles.csv`` and ``images/<id>.jpg``;
- any table with named columns, by default ``image,text,label``; picture paths are relative to the table;
- a folder of pictures for each class.

A table is a CSV, TSV, Parquet, XLSX, JSON lines or XML, compressed or not; its format and encoding are found by its
content (:mod:`training.catalog.formats`). Rows of empty cells alone are no rows.

A row needs a picture or a title, and a value of the main attribute. An empty cell means that the picture or title is
missing. A row whose picture file is missing or broken is rejected. The reasons are ``row_malformed``, ``id_empty``,
``id_duplicate`` (the first row with the id is used), ``label_empty``, ``product_empty``, ``image_outside``,
``image_missing``, and the error types of the server for inputs that it refuses too: ``text_too_long``,
``image_corrupt``, ``image_empty``, ``image_bad_shape``, ``image_too_large``, ``unsupported_image``.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from training.catalog.files import CatalogError, CatalogFiles, RowError, decode_picture, open_files
from training.catalog.rows import CatalogRow, open_rows
from training.catalog.source import CatalogSource
from training.system.threads import map_threads

__all__ = [
    "Catalog",
    "CatalogError",
    "CatalogSource",
    "attribute_column",
    "product_columns",
    "read_catalog",
    "read_catalog_for",
    "sample_products",
]

PRODUCT_COLUMNS = ("id", "image", "text", "label")
REJECTED_COLUMNS = ("line", "id", "reason", "detail")
EXAMPLE_LENGTH = 160


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Catalog:
    """A catalogue that was read; safe in threads, forked and spawned processes.

    Args:
        source: with the columns that were found; reading it again gives the same catalogue.
        products: the used rows in the order of the file, index 0..n-1. All columns are str: ``id``, ``image`` (path
            relative to the table), ``text``, ``label``, and :func:`attribute_column` of each further attribute. Missing
            values are "".
        rejected: the other rows in the order of the file: ``line`` (int, from 1), ``id``, ``reason``, ``detail``.
        read: number of rows, used and rejected.
        files: the files that the pictures are read from.
        notes: what the owner should know of the reading, a sentence each.
        given: of products whose label was corrected after the reading: id -> label in the table.
    """

    source: CatalogSource
    products: pd.DataFrame
    rejected: pd.DataFrame
    read: int
    files: CatalogFiles
    notes: Sequence[str] = ()
    given: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def image_bytes(self, name: str) -> bytes:
        """The encoded picture with a name from the column ``image``.

        Raises:
            CatalogError: it cannot be read any more; the message names it.
        """
        return self.files.read(name)

    def summary(self) -> str:
        """One line: the number of rows read, used, and rejected by reason."""
        counts = self.rejected["reason"].value_counts()
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
        rejected = f"{len(self.rejected):,} rejected" + (f" ({reasons})" if reasons else "")
        return f"{self.read:,} rows read = {len(self.products):,} used + {rejected}"


def attribute_column(name: str) -> str:
    """The column of ``products`` that holds a further attribute; it cannot clash with the other columns."""
    return f"attribute {name}"


def product_columns(names: Sequence[str]) -> dict[str, str]:
    """Attribute name -> its column in ``products``; the main attribute comes first."""
    return {name: attribute_column(name) if place else "label" for place, name in enumerate(names)}


def read_catalog(
    source: CatalogSource, *, check_images: bool = True, max_rejected: float = 0.05, progress: bool = True
) -> Catalog:
    """Read a catalogue and check every row and picture.

    Args:
        check_images: decode every picture. False checks only their paths, for a catalogue that was checked before.
        max_rejected: largest share of rejected rows, 0..1; with more the catalogue is refused.

    Raises:
        CatalogError: the catalogue cannot be used; the message says what to fix.
    """
    if not 0 <= max_rejected <= 1:
        raise CatalogError(f"max_rejected must be in [0, 1], got {max_rejected}")
    files, notes = open_files(source.path), list[str]()
    with open_rows(source, files, say=notes.append) as (found, rows):
        candidates = list(rows)
    if check_images:
        candidates = _with_images_checked(candidates, files, progress=progress)
    catalog = dataclasses.replace(_collected(found, candidates, files), notes=notes)
    _check_budget(catalog, max_rejected)
    return catalog


def read_catalog_for(modalities: Sequence[str], source: CatalogSource, **options: Any) -> Catalog:
    """Read a catalogue for models of some modalities; see :func:`read_catalog`.

    If the models read one modality and the catalogue cannot be used with both, such as a table without pictures for a
    title model, it is read without the other one, and a note says so. A catalogue that can be used with both is read
    with both, so that runs of different models have the same products.
    """
    alone = source.reading(modalities)
    if alone in (source, source.reading(())):
        return read_catalog(source, **options)
    try:
        return read_catalog(source, **options)
    except CatalogError as error:
        catalog = read_catalog(alone, **options)
        unread = "pictures" if "text" in modalities else "titles"
        print(f"note: {unread} are not read, the models need none ({str(error).splitlines()[0]})", flush=True)
        return catalog


def _with_images_checked(candidates: Sequence[CatalogRow], files: CatalogFiles, *, progress: bool) -> list[CatalogRow]:
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


def _collected(source: CatalogSource, candidates: Sequence[CatalogRow], files: CatalogFiles) -> Catalog:
    used = [(each.id, each.image, each.text, each.label, *each.attributes) for each in candidates if each.fault is None]
    rejected = [(each.line, each.id, each.fault.reason, each.fault.detail) for each in candidates if each.fault]
    return Catalog(
        source=source,
        products=pd.DataFrame(
            used, columns=[*PRODUCT_COLUMNS, *map(attribute_column, source.attribute_columns)], dtype="str"
        ),
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
    advice = f"fix the catalogue, or allow it with --max-rejected {math.ceil(share * 100) / 100}"
    if catalog.products.empty:
        advice = "no row is left to use: fix the catalogue"
    raise CatalogError(
        f"{catalog.source.path}: {rejected:,} of {catalog.read:,} rows are rejected ({share:.1%}), "
        f"allowed are {max_rejected:.1%}; {advice}\n" + "\n".join(_reasons(catalog.rejected))
    )


def _reasons(rejected: pd.DataFrame) -> Iterator[str]:
    """One line for each reason, the most frequent first: its number of rows, and the first row's line and detail."""
    for reason, rows in sorted(rejected.groupby("reason"), key=lambda item: -len(item[1])):
        line, detail = rows.iloc[0][["line", "detail"]]
        yield f"  {reason}: {len(rows):,}, first in line {line}: {detail[:EXAMPLE_LENGTH]}"


def sample_products(
    products: pd.DataFrame,
    *,
    classes: Sequence[str] | None = None,
    per_class: int | None = None,
    min_class: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Choose products by class; equal arguments give equal products.

    Args:
        products: of a catalogue.
        classes: labels to keep; None or an empty sequence keeps all.
        per_class: number of products to draw from each class that is left.
        min_class: leave out classes with fewer products, before the draw.

    Returns:
        The chosen rows in their old order, indexed 0..n-1.

    Raises:
        CatalogError: a class is unknown or has fewer than ``per_class`` products, or no product is left.
    """
    for name, value in (("per_class", per_class), ("min_class", min_class)):
        if value is not None and value < 1:
            raise CatalogError(f"{name} must be > 0, got {value}")
    counts = products["label"].value_counts()
    if unknown := sorted(set(classes or ()) - set(counts.index)):
        raise CatalogError(f"no product has the label {', '.join(map(repr, unknown))}; labels are {_listed(counts)}")
    chosen = products[products["label"].isin(list(classes))] if classes else products
    if min_class is not None:
        chosen = chosen[chosen["label"].map(counts) >= min_class]
    if chosen.empty:
        raise CatalogError(f"no class has {min_class} products or more; labels are {_listed(counts)}")
    if per_class is not None:
        counts = chosen["label"].value_counts()
        if (small := counts[counts < per_class]).size:
            advice = f"lower --per-class, or leave them out with --min-class {per_class}"
            raise CatalogError(f"{len(small)} classes have fewer than {per_class} products: {_listed(small)}; {advice}")
        drawn = chosen.reset_index(drop=True).groupby("label").sample(n=per_class, random_state=seed)
        chosen = drawn.sort_index()
    return chosen.reset_index(drop=True)


def _listed(counts: "pd.Series[int]", limit: int = 200) -> str:
    names = [f"{label} ({count:,})" for label, count in counts.items()]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
