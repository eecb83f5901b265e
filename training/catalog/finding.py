"""Finds a catalogue's table among the names in a folder or a zip, or the pictures of folders that are classes."""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from training.catalog.formats.errors import CatalogError

KAGGLE_CSV = "styles.csv"
SEARCH_DEPTH = 3
FIRST_SUFFIXES = (".csv", ".parquet")
_PLAIN = (".tsv", ".tab", ".jsonl", ".ndjson", ".xml")
OTHER_SUFFIXES = (*_PLAIN, ".xlsx", *(f"{each}{by}" for each in (".csv", *_PLAIN) for by in (".gz", ".bz2", ".xz")))
# Names that other files have too, so they come last.
LAST_SUFFIXES = (".json", ".txt")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")
SPLIT_FOLDERS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev"})
CLASS_DEPTH = 8
READ = "CSV, TSV, Parquet, XLSX, JSON lines or XML"
_PART_COUNT = re.compile(r"-of-0*(\d+)")
_SHOWN = 8


class ClassFolders(NamedTuple):
    """Pictures in a folder for each class, as a table.

    Attributes:
        table: a CSV with the columns image and label, and level1, level2, ... for folders inside folders.
        note: what was found, for the owner.
    """

    table: bytes
    note: str


def find_tables(names: Iterable[str], path: Path) -> list[str]:
    """The names of a catalogue's table: one, or the parts of a Parquet in their order.

    The tables in the uppermost folder count, so that results in a folder below are not taken for the catalogue. Among
    these ``styles.csv`` comes first, then a CSV, then a Parquet.

    Raises:
        CatalogError: there are several candidates; or there is none, and the message says what is there.
    """
    tables = [each for each in map(PurePosixPath, names) if not is_hidden(each)]
    nearest = [each for each in tables if len(each.parts) == min(len(other.parts) for other in tables)]
    nearest = [each for each in nearest if each.name == KAGGLE_CSV] or _csv_before_parquet(nearest)
    if len(nearest) > 1 and (parts := _parts(nearest, path)):
        return parts
    if len(nearest) > 1:
        listed = ", ".join(sorted(map(str, nearest))[:_SHOWN])
        kinds = {each.suffix.lower() for each in nearest}
        kind = "CSVs" if kinds == {".csv"} else "Parquets" if kinds == {".parquet"} else "tables"
        raise CatalogError(f"{path} holds {len(nearest)} {kind} ({listed}): give the one that is meant")
    return [str(nearest[0])] if nearest else []


def refuse_without_table(names: Iterable[str], path: Path) -> CatalogError:
    """The error for a folder or a zip without a table; it says what is there."""
    there = sorted(name for name in names if not is_hidden(PurePosixPath(name)))
    few = [PurePosixPath(name).name for name in there if len(PurePosixPath(name).parts) == 1] or there
    listed = f" (it holds {', '.join(few[:5])}{', ...' if len(few) > 5 else ''})" if few else ""
    return CatalogError(
        f"{path} holds no CSV{listed}: give the folder that holds it, or the table itself ({READ}), or a folder with a "
        "folder of pictures for each class"
    )


def tables_in(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Relative paths of the files with a suffix, down to ``SEARCH_DEPTH`` levels; large picture folders stay fast."""
    found = []
    for suffix in suffixes:
        pattern = "*" + "".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in suffix)
        found += [file for depth in range(SEARCH_DEPTH) for file in folder.glob("*/" * depth + pattern)]
    names = (file.relative_to(folder) for file in found)
    return [name.as_posix() for name in names if not is_hidden(name)]


def names_with(names: Iterable[str], suffixes: Sequence[str]) -> list[str]:
    """The names that end in one of some suffixes, in any case."""
    return [name for name in names if name.lower().endswith(tuple(suffixes))]


def files_below(folder: Path) -> Iterator[str]:
    """Relative paths of all files, sorted, down to ``CLASS_DEPTH`` levels."""
    for where, folders, files in os.walk(folder):
        inside = Path(where).relative_to(folder)
        folders[:] = sorted(folders) if len(inside.parts) < CLASS_DEPTH else []
        yield from ((inside / name).as_posix() for name in sorted(files))


def class_folders(names: Iterable[str]) -> ClassFolders | None:
    """The pictures in folders as a table whose labels are the folders' names; None if no two folders hold pictures."""
    every = [each for each in map(PurePosixPath, names) if not is_hidden(each)]
    pictures = [each for each in every if each.suffix.lower() in PICTURE_SUFFIXES]
    inside = [each for each in pictures if len(each.parts) > 1]
    levels, split = _without_wrapping([each.parts[:-1] for each in inside])
    if len(set(levels)) < 2 or () in levels:
        return None
    paths: dict[str, set[tuple[str, ...]]] = {}
    for folders in levels:
        paths.setdefault(folders[-1], set()).add(folders)
    is_unique = all(len(each) == 1 for each in paths.values())
    depth = max(map(len, levels))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", *(f"level{level + 1}" for level in range(depth if depth > 1 else 0))])
    for picture, folders in zip(inside, levels, strict=True):
        label = folders[-1] if is_unique else "/".join(folders)
        writer.writerow([str(picture), label, *(folders + ("",) * (depth - len(folders)) if depth > 1 else ())])
    note = f"{len(set(levels)):,} folders of pictures are classes: {len(inside):,} pictures without titles"
    if split:
        note += f"; the folders {', '.join(split)} are joined, since a run draws its own test part"
    if left_out := len(every) - len(inside):
        note += f"; {left_out:,} other files are left out"
    return ClassFolders(text.getvalue().encode("utf-8", "replace"), note)


def _without_wrapping(levels: list[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Folders without the outer ones that all share, and without those of a split; and the names of the split."""
    split: list[str] = []
    while levels and all(levels):
        first = Counter(folders[0] for folders in levels)
        is_split = not split and len(first) > 1 and {name.lower() for name in first} <= SPLIT_FOLDERS
        if not is_split and (len(first) > 1 or any(len(folders) == 1 for folders in levels)):
            break
        split = sorted(first) if is_split else split
        levels = [folders[1:] for folders in levels]
    return levels, split


def _csv_before_parquet(tables: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Leave out every Parquet that has a CSV in its folder."""
    folders = {each.parent for each in tables if each.suffix.lower() == ".csv"}
    return [each for each in tables if each.suffix.lower() != ".parquet" or each.parent not in folders]


def _parts(tables: Sequence[PurePosixPath], path: Path) -> list[str]:
    """The names in order if they are the parts of one Parquet: they differ in numbers alone; else none."""
    if {each.suffix.lower() for each in tables} != {".parquet"} or len({_without_numbers(each) for each in tables}) > 1:
        return []
    counts = {int(found[1]) for each in tables if (found := _PART_COUNT.search(each.name))}
    if counts and counts != {len(tables)}:
        wanted = ", ".join(map(str, sorted(counts)))
        raise CatalogError(f"{path} holds {len(tables)} of {wanted} parts of a Parquet: fetch the others")
    return sorted(map(str, tables), key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def _without_numbers(table: PurePosixPath) -> str:
    return re.sub(r"\d+", "#", str(table))


def is_hidden(path: PurePath) -> bool:
    """True for a file that a system keeps for itself."""
    return any(part.startswith((".", "__MACOSX", "_SUCCESS")) for part in path.parts)
