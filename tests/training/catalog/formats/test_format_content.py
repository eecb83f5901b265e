"""What a file is, is found by its content: it is read whatever its name, or the message says what it is."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest
from openpyxl import Workbook
from shop_files import ROWS, TEXT, cells, picture, read, write

from training.catalog.reading import CatalogError


def xlsx(rows: list[list[object]] | None = None) -> bytes:
    book, stream = Workbook(), io.BytesIO()
    for row in rows or [["image", "text", "label"], *ROWS]:
        book.active.append(row)
    book.save(stream)
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    columns = zip(*ROWS, strict=True)
    pa.parquet.write_table(pa.table(dict(zip(("image", "text", "label"), map(list, columns), strict=True))), stream)
    return stream.getvalue()


def xml() -> str:
    items = "".join(f"<item><image>{a}</image><text>{b}</text><label>{c}</label></item>" for a, b, c in ROWS)
    return f"<?xml version='1.0'?><rss><channel>{items}</channel></rss>"


def records() -> list[dict[str, str]]:
    return [dict(zip(("image", "text", "label"), row, strict=True)) for row in ROWS]


READ: dict[str, Callable[[], bytes | str]] = {
    "comma": lambda: TEXT,
    "byte order mark": lambda: "\ufeff" + TEXT,
    "semicolon": lambda: "image;text;label\n" + "\n".join(";".join(row) for row in ROWS),
    "tab": lambda: "image\ttext\tlabel\n" + "\n".join("\t".join(row) for row in ROWS),
    "bar": lambda: "image|text|label\n" + "\n".join("|".join(row) for row in ROWS),
    "sep line": lambda: "sep=;\r\nimage;text;label\r\n" + "\r\n".join(";".join(row) for row in ROWS),
    "sep line, odd": lambda: "sep=^\nimage^text^label\n" + "\n".join("^".join(row) for row in ROWS),
    "utf-16": lambda: TEXT.encode("utf-16"),
    "utf-16 without mark": lambda: TEXT.encode("utf-16-le"),
    "utf-16 big": lambda: TEXT.encode("utf-16-be"),
    "utf-32": lambda: TEXT.encode("utf-32"),
    "cp1252": lambda: TEXT.encode("cp1252"),
    "gzip": lambda: gzip.compress(TEXT.encode()),
    "bzip2": lambda: bz2.compress(TEXT.encode()),
    "xz": lambda: lzma.compress(TEXT.encode()),
    "gzip of xlsx": lambda: gzip.compress(xlsx()),
    "xlsx": xlsx,
    "parquet": parquet,
    "json lines": lambda: "\n".join(json.dumps(each) for each in records()),
    "json list": lambda: json.dumps(records(), indent=2),
    "xml": xml,
}


@pytest.mark.parametrize("name", ["products.csv", "products.dat", "products"])
@pytest.mark.parametrize("form", READ)
def test_every_form_reads_alike_whatever_its_name(tmp_path: Path, form: str, name: str) -> None:
    catalog = read(write(tmp_path, name, READ[form]()), max_rejected=0)
    assert cells(catalog) == ROWS


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        ("tab", "tsv"),
        ("gzip", "csv.gz"),
        ("xlsx", "xlsx"),
        ("json lines", "JSONL"),
        ("xml", "xml"),
        ("json list", "json"),
    ],
)
def test_a_table_of_every_suffix_is_found_in_a_folder_and_in_a_zip(tmp_path: Path, form: str, suffix: str) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    path = write(shop, f"products.{suffix}", READ[form]())
    assert cells(read(shop)) == ROWS
    with zipfile.ZipFile(tmp_path / "shop.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (path.name, "a.jpg"):
            archive.write(shop / name, name)
    assert cells(read(tmp_path / "shop.zip")) == ROWS


def test_a_csv_goes_before_other_formats(tmp_path: Path) -> None:
    write(tmp_path, "old.xlsx", xlsx([["x"], ["y"]]))
    write(tmp_path, "products.csv", TEXT)
    assert cells(read(tmp_path)) == ROWS


def database(path: Path) -> bytes:
    with sqlite3.connect(path / "shop.db") as connection:
        connection.execute("CREATE TABLE products (id TEXT)")
    connection.close()
    return (path / "shop.db").read_bytes()


def saved(write_to: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write_to(stream)
    return stream.getvalue()


def tarred() -> bytes:
    def add(stream: io.BytesIO) -> None:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("products.csv"))

    return saved(add)


def zip_of(*names: str) -> bytes:
    def add(stream: io.BytesIO) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    return saved(add)


TABLE = pa.table({"image": ["a.jpg"], "text": ["Cap"]})
REFUSED: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "xls": (lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel workbook of the old kind"),
    "ods": (lambda _: zip_of("mimetype", "content.xml"), "an OpenDocument file"),
    "numbers": (lambda _: zip_of("Index/Document.iwa"), "an Apple Numbers sheet"),
    "docx": (lambda _: zip_of("word/document.xml"), "a Word document"),
    "xlsb": (lambda _: zip_of("xl/workbook.bin"), "a binary Excel workbook"),
    "sheet of 2003": (
        lambda _: b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
        "an Excel workbook as XML of 2003",
    ),
    "html": (lambda _: b"\r\n<!DOCTYPE html>\n<html><body><table></table></body></html>", "an HTML page"),
    "html table": (lambda _: b"<table><tr><td>image</td></tr></table>", "an HTML page"),
    "sqlite": (database, "an SQLite database"),
    "feather": (lambda _: saved(lambda stream: pa.feather.write_feather(TABLE, stream)), "an Arrow (Feather) file"),
    "arrow stream": (
        lambda _: saved(lambda stream: pa.ipc.new_stream(stream, TABLE.schema).write_table(TABLE)),
        "an Arrow stream",
    ),
    "orc": (lambda _: saved(lambda stream: pa.orc.write_table(TABLE, stream)), "an ORC file"),
    "numpy": (lambda _: saved(lambda stream: np.save(stream, np.zeros(3))), "a NumPy array"),
    "pickle": (lambda _: pickle.dumps(["a"] * 100), "a Python pickle: it is never read"),
    "tar": (lambda _: tarred(), "a tar archive"),
    "tar.gz": (lambda _: gzip.compress(tarred()), "a tar archive"),
    "7z": (lambda _: b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive"),
    "rar": (lambda _: b"Rar!\x1a\x07\x01\x00" + bytes(40), "a RAR archive"),
    "zstd": (lambda _: pa.compress(b"image,text\n", codec="zstd", asbytes=True), "compressed by Zstandard"),
    "pdf": (lambda _: b"%PDF-1.7\n" + bytes(range(128, 256)), "a PDF"),
    "rtf": (lambda _: b"{\\rtf1\\ansi image,text}", "an RTF document"),
    "jpeg": (lambda _: picture(), "a picture (JPEG)"),
    "png": (lambda _: picture(kind="PNG"), "a picture (PNG)"),
    "webp": (lambda _: picture(kind="WEBP"), "a picture (WebP)"),
    "hdf5": (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
    "lfs": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a pointer of Git LFS"),
    "noise": (lambda _: np.random.default_rng(0).bytes(5000).replace(b"PK", b"xx"), "a binary file of an unknown kind"),
    "twice compressed": (lambda _: gzip.compress(gzip.compress(TEXT.encode())), "compressed twice"),
    "nothing": (lambda _: b"", "is empty"),
    "compressed nothing": (lambda _: gzip.compress(b""), "is empty"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_not_read_is_named(tmp_path: Path, form: str) -> None:
    make, message = REFUSED[form]
    with pytest.raises(CatalogError) as caught:
        read(write(tmp_path, "products.csv", make(tmp_path)))
    assert message in str(caught.value) and "products.csv" in str(caught.value)


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz", "xlsx", "parquet"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_a_file_is_an_error_that_names_it(tmp_path: Path, form: str, share: float) -> None:
    whole = READ[form]()
    assert isinstance(whole, bytes)
    with pytest.raises(CatalogError, match=r"products\.csv"):
        read(write(tmp_path, "products.csv", whole[: int(len(whole) * share)]))


def test_a_folder_without_a_table_says_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path, "products.ods", b"x")
    with pytest.raises(CatalogError, match=r"holds no CSV \(it holds a\.jpg, products\.ods\): give"):
        read(tmp_path)


def test_a_device_is_no_table() -> None:
    with pytest.raises(CatalogError, match="is no file"):
        read(Path("/dev/null"))
