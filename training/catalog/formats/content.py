"""What a file is, by its first bytes: a name for each kind that is read, or what it is and what to do with it."""

import re
from typing import NamedTuple

from training.catalog.formats.errors import CatalogError

HEAD_BYTES = 8192
PARQUET, WORKBOOK, TEXT = "parquet", "workbook", "text"
GZIP, BZ2, XZ = "gzip", "bz2", "xz"
HTML, XML, JSON, DELIMITED = "html", "xml", "json", "delimited"
_CONVERT = "save it as a CSV, an XLSX or a Parquet"
_UNPACK = "unpack it, and give the folder"
_PICTURE = "give the table that names the pictures, or a folder with a folder of pictures for each class"
_PROGRAM = "it is never read, since it could run a program; save the table as a CSV or a Parquet"


class _Magic(NamedTuple):
    start: bytes
    kind: str
    advice: str = ""
    offset: int = 0


_MAGIC = (
    _Magic(b"PAR1", PARQUET),
    _Magic(b"\x1f\x8b", GZIP),
    _Magic(b"BZh", BZ2),
    _Magic(b"\xfd7zXZ\x00", XZ),
    _Magic(b"PK\x03\x04", WORKBOOK),
    _Magic(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Excel workbook of the old kind (.xls), or one with a password",
        "save it as XLSX without a password, or as CSV UTF-8",
    ),
    _Magic(b"PK\x05\x06", "an empty zip", "zip the table and its pictures again"),
    _Magic(b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "decompress it first: zstd -d FILE"),
    _Magic(b"\x04\x22\x4d\x18", "compressed by LZ4", "decompress it first: lz4 -d FILE"),
    _Magic(b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    _Magic(b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    _Magic(b"ustar", "a tar archive", _UNPACK, offset=257),
    _Magic(b"ARROW1", "an Arrow (Feather) file", "save it as a Parquet"),
    _Magic(b"FEA1", "a Feather file", "save it as a Parquet"),
    _Magic(b"\xff\xff\xff\xff", "an Arrow stream", "save it as a Parquet"),
    _Magic(b"ORC", "an ORC file", "save it as a Parquet"),
    _Magic(b"Obj\x01", "an Avro file", "save it as a Parquet"),
    _Magic(b"\x89HDF\r\n\x1a\n", "an HDF5 file", _CONVERT),
    _Magic(b"SQLite format 3\x00", "an SQLite database", "export the table of products as a CSV"),
    _Magic(b"\x00\x01\x00\x00Standard", "an Access database", "export the table of products as a CSV"),
    _Magic(b"\x93NUMPY", "a NumPy array", _CONVERT),
    _Magic(b"\x80\x02", "a Python pickle", _PROGRAM),
    _Magic(b"\x80\x03", "a Python pickle", _PROGRAM),
    _Magic(b"\x80\x04", "a Python pickle", _PROGRAM),
    _Magic(b"\x80\x05", "a Python pickle", _PROGRAM),
    _Magic(b"RDX", "an R data file", _CONVERT),
    _Magic(b"<stata_dta>", "a Stata file", _CONVERT),
    _Magic(b"$FL2", "an SPSS file", _CONVERT),
    _Magic(b"%PDF", "a PDF", "export the table that it was printed from"),
    _Magic(b"%!PS", "a PostScript file", "export the table that it was printed from"),
    _Magic(b"{\\rtf", "an RTF document", _CONVERT),
    _Magic(b"\x89PNG\r\n", "a picture (PNG)", _PICTURE),
    _Magic(b"\xff\xd8\xff", "a picture (JPEG)", _PICTURE),
    _Magic(b"GIF8", "a picture (GIF)", _PICTURE),
    _Magic(b"WEBP", "a picture (WebP)", _PICTURE, offset=8),
    _Magic(b"II*\x00", "a picture (TIFF)", _PICTURE),
    _Magic(b"MM\x00*", "a picture (TIFF)", _PICTURE),
    _Magic(b"\x7fELF", "a program", _CONVERT),
    _Magic(b"MZ\x90\x00", "a program", _CONVERT),
    _Magic(b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch the file: git lfs pull"),
)
_ZIPS = (
    ("content.xml", "an OpenDocument file (.ods)", "save it as XLSX, or as CSV UTF-8"),
    ("word/document.xml", "a Word document", _CONVERT),
    ("ppt/presentation.xml", "a PowerPoint file", _CONVERT),
    ("Index/Document.iwa", "an Apple Numbers sheet", "export it as XLSX, or as CSV UTF-8"),
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb)", "save it as XLSX, or as CSV UTF-8"),
    ("META-INF/MANIFEST.MF", "a Java archive", _CONVERT),
)
_CONTROL = bytes(set(range(32)) - {9, 10, 11, 12, 13, 27})
_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|table|meta)\b", re.IGNORECASE | re.DOTALL)
_SHEET_XML = "urn:schemas-microsoft-com:office:spreadsheet"


def kind_of(head: bytes, name: str) -> str:
    """The kind of a file: ``parquet``, ``workbook``, ``gzip``, ``bz2``, ``xz`` or ``text``.

    Args:
        head: its first ``HEAD_BYTES`` bytes.
        name: its name, for the message.

    Raises:
        CatalogError: it is of a kind that is not read; the message says which, and what to do.
    """
    for magic in _MAGIC:
        if head.startswith(magic.start, magic.offset):
            if magic.advice:
                raise CatalogError(f"{name} is {magic.kind}: {magic.advice}")
            return magic.kind
    if name.lower().endswith(".parquet"):
        raise CatalogError(f"{name} cannot be read as a Parquet (it does not begin as one): write it again")
    controls = len(head) - len(head.translate(None, _CONTROL))
    # A text in UTF-16 or UTF-32 has a NUL in most of its characters, and hardly another control character.
    others = controls - head.count(0)
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff")) or is_wide(head)
    if len(head) >= 32 and (others if wide else controls) > len(head) // 20:
        raise CatalogError(f"{name} is a binary file of an unknown kind: {_CONVERT}")
    return TEXT


def is_wide(head: bytes) -> str:
    """``utf-16-le`` or ``utf-16-be`` if a text without a mark is certainly one of them, else ""."""
    pairs = len(head) // 2
    first, second = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if pairs >= 4 and second > 0.7 * pairs and not first:
        return "utf-16-le"
    return "utf-16-be" if pairs >= 4 and first > 0.7 * pairs and not second else ""


def text_kind(text: str, name: str) -> str:
    """The kind of a text by its beginning: ``xml``, ``json`` or ``delimited``.

    Raises:
        CatalogError: it is HTML, or the XML of an old Excel; the message says so.
    """
    text = text.removeprefix("\ufeff")
    if _HTML.match(text):
        raise CatalogError(
            f"{name} is an HTML page: an export that a spreadsheet can open may still be one, and so may a download "
            "that failed; save it as CSV UTF-8 or XLSX"
        )
    if re.match(r"\s*<(\?xml|[A-Za-z!])", text):
        if _SHEET_XML in text:
            raise CatalogError(f"{name} is an Excel workbook as XML of 2003: save it as XLSX, or as CSV UTF-8")
        return XML
    if re.match(r'\s*(\{\s*("|\}|$)|\[\s*(["{\]\[]|$))', text):
        return JSON
    return DELIMITED


def zip_content(names: set[str]) -> tuple[str, str]:
    """What a zip is by the names in it, if it is another format's file, and what to do; ("", "") for a plain zip."""
    return next(((kind, advice) for inside, kind, advice in _ZIPS if inside in names), ("", ""))


def is_workbook(names: set[str]) -> bool:
    """True if a zip with these names is an XLSX."""
    return "xl/workbook.xml" in names
