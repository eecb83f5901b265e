"""The files of a catalogue, in a folder or a zip, behind one interface; safe in threads and forked processes.

Pictures are decoded as the server does, so that training and serving refuse the same ones.
"""

import hashlib
import os
import posixpath
import struct
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Protocol

from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import Attribute, ProductSettings

LIMITS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),))
KAGGLE_CSV = "styles.csv"
SEARCH_DEPTH = 3
MAX_FILE_BYTES = 256_000_000
# Errors on opening or reading a file, or an entry of a zip that is damaged, encrypted or compressed in another way.
READ_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


class CatalogError(ValueError):
    """A problem with a catalogue that its owner can fix; the message says what, where and how."""


class RowError(CatalogError):
    """The reason why one row cannot be used.

    Args:
        reason: a stable name, such as ``image_missing``.
        detail: for the person who fixes it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["RowError"], tuple[str, str]]:
        return RowError, (self.reason, self.detail)


class CatalogFiles(Protocol):
    """The table of a catalogue and the pictures beside it.

    Attributes:
        table_name: path of the CSV or the Parquet within the folder or zip.
    """

    table_name: str

    def open_table(self) -> AbstractContextManager[IO[bytes]]:
        """The table as a stream; reading it may raise one of ``READ_ERRORS``.

        Raises:
            CatalogError: it cannot be opened.
        """
        ...

    def fingerprint(self) -> str:
        """A sha256 in hexadecimal: of the table; for a zip, of the listing of all its files."""
        ...

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of a file; its path is relative to the table's folder.

        Raises:
            RowError: ``image_outside``, ``image_missing``, ``image_corrupt``, or ``image_too_large`` for more than
                ``limit`` bytes.
        """
        ...


class FolderFiles:
    """A CSV or Parquet and the files below its folder."""

    def __init__(self, table: Path) -> None:
        self.table_name = table.name
        self._root = table.parent.resolve()

    @contextmanager
    def open_table(self) -> Iterator[IO[bytes]]:
        try:
            stream = (self._root / self.table_name).open("rb")
        except OSError as error:
            raise CatalogError(f"{self.table_name} cannot be read: {error}") from error
        with stream:
            yield stream

    def fingerprint(self) -> str:
        with self.open_table() as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        try:
            # A symbolic link may lead out of the folder, so it is resolved before the check.
            path = (self._root / safe_path(name)).resolve()
            if not path.is_relative_to(self._root):
                raise RowError("image_outside", f"{name!r} is a link that leads out of the catalogue's folder")
            if not path.is_file():
                raise RowError("image_missing", f"{name!r} is not there")
            if path.stat().st_size > limit:
                raise RowError("image_too_large", f"{name!r} has more than {limit / 1e6:g} MB")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:
            # pathlib raises RuntimeError for a link that leads to itself.
            raise RowError("image_missing", f"{name!r} cannot be read: {error}") from error


class ZipFiles:
    """A CSV and the files below its folder, in a zip.

    The directory is parsed once, and entries are read by their position in the file (``pread``). ``zipfile`` keeps one
    file offset, which threads and forked processes would share.

    Raises:
        CatalogError: it cannot be read, is no zip, or holds no CSV or several.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        try:
            with zipfile.ZipFile(path) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        except zipfile.BadZipFile as error:
            raise CatalogError(f"{path} is no complete zip file ({error}): download or make it again") from error
        except OSError as error:
            raise CatalogError(f"{path} cannot be read ({error.strerror or error}): let this user read it") from error
        self.table_name = find_table((name for name in self._entries if name.lower().endswith(".csv")), path)
        self._root = posixpath.dirname(self.table_name)
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[type["ZipFiles"], tuple[Path]]:
        return ZipFiles, (self._path,)

    @contextmanager
    def open_table(self) -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(self._path) as archive:
            try:
                stream = archive.open(self.table_name)
            except READ_ERRORS as error:
                raise CatalogError(f"{self.table_name!r} cannot be read from the zip: {error}") from error
            with stream:
                yield stream

    def fingerprint(self) -> str:
        listing = sorted((entry.filename, entry.CRC, entry.file_size) for entry in self._entries.values())
        return hashlib.sha256(repr(listing).encode()).hexdigest()

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        entry = self._entries.get(posixpath.join(self._root, safe_path(name)))
        if entry is None:
            raise RowError("image_missing", f"{name!r} is not in the zip")
        if entry.file_size > limit:
            raise RowError("image_too_large", f"{name!r} has more than {limit / 1e6:g} MB")
        try:
            content = self._extract(entry)
        except (OSError, zlib.error, struct.error) as error:
            raise RowError("image_corrupt", f"{name!r} is damaged in the zip: {error}") from error
        if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
            raise RowError("image_corrupt", f"{name!r} is damaged in the zip: its checksum differs")
        return content

    def _extract(self, entry: zipfile.ZipInfo) -> bytes:
        # Layout of a local header: section 4.3.7 in the .ZIP File Format Specification 6.3.10.
        header = os.pread(self._file, 30, entry.header_offset)
        name_length, extra_length = struct.unpack("<26xHH", header)
        packed = os.pread(self._file, entry.compress_size, entry.header_offset + 30 + name_length + extra_length)
        if entry.flag_bits & 1:
            raise OSError("it is encrypted")
        if entry.compress_type == zipfile.ZIP_STORED:
            return packed
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.file_size)
        raise OSError(f"compression method {entry.compress_type} is neither stored nor deflated")


def open_files(path: Path | str) -> CatalogFiles:
    """Find the catalogue at ``path``: a CSV, a Parquet, a folder that holds one, or a zip that holds a CSV.

    If there are several tables, those in the uppermost folder count, so that results in a folder below are not taken
    for the catalogue. Among these ``styles.csv`` comes first, then a CSV, then a Parquet.

    Raises:
        CatalogError: there is no table, or more than one candidate.
    """
    path = Path(path)
    if not path.exists():
        raise CatalogError(f"{path} does not exist: give a CSV, a Parquet, a folder with one, or a zip with a CSV")
    if path.is_dir():
        return FolderFiles(path / find_table([*_listed(path, "csv"), *_listed(path, "parquet")], path))
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return ZipFiles(path)
    return FolderFiles(path)


def _listed(folder: Path, suffix: str) -> list[str]:
    """Relative paths of the files with a suffix, down to ``SEARCH_DEPTH`` levels; large picture folders stay fast."""
    pattern = "*." + "".join(f"[{letter}{letter.upper()}]" for letter in suffix)
    found = (file.relative_to(folder) for depth in range(SEARCH_DEPTH) for file in folder.glob("*/" * depth + pattern))
    return [file.as_posix() for file in found if not _is_hidden(file)]


def find_table(names: Iterable[str], path: Path) -> str:
    """Choose the catalogue's table; see :func:`open_files`.

    Raises:
        CatalogError: there is no table, or more than one candidate.
    """
    tables = [each for each in map(PurePosixPath, names) if not _is_hidden(each)]
    nearest = [each for each in tables if len(each.parts) == min(len(other.parts) for other in tables)]
    nearest = [each for each in nearest if each.name == KAGGLE_CSV] or _csv_before_parquet(nearest)
    if not nearest:
        raise CatalogError(f"{path} holds no CSV: give the folder that holds it, or the CSV itself")
    if len(nearest) > 1:
        listed = ", ".join(sorted(map(str, nearest))[:8])
        kinds = {_is_csv(each) for each in nearest}
        kind = "tables" if len(kinds) > 1 else "CSVs" if kinds == {True} else "Parquets"
        raise CatalogError(f"{path} holds {len(nearest)} {kind} ({listed}): give the one that is meant")
    return str(nearest[0])


def _csv_before_parquet(tables: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Leave out every Parquet that has a CSV in its folder."""
    folders = {each.parent for each in tables if _is_csv(each)}
    return [each for each in tables if _is_csv(each) or each.parent not in folders]


def _is_csv(path: PurePath) -> bool:
    return path.suffix.lower() == ".csv"


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def safe_path(name: str) -> str:
    """Normalise a relative path and check that it does not leave its folder.

    Raises:
        RowError: ``image_outside``, or ``image_missing`` for a name that no file can have.
    """
    if "\0" in name:
        raise RowError("image_missing", f"{name!r} holds a NUL character, which no file name can hold")
    if "://" in name:
        raise RowError("image_outside", f"{name!r} is a web address; download the picture and put it beside the CSV")
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path == "..":
        raise RowError("image_outside", f"{name!r} leads out of the catalogue's folder; put the picture beside the CSV")
    return path


def decode_picture(image: bytes, *, name: str) -> Image.Image:
    """Decode a picture within the default limits of a served model.

    Args:
        name: the file's name, for the message.

    Returns:
        An upright RGB picture, transparency on white; a large photograph may be scaled down.

    Raises:
        RowError: its reason is the error ``type`` of the server.
    """
    try:
        return open_picture(image, LIMITS)
    except ProductError as error:
        raise RowError(error.type, f"{name!r}: {error.message.removeprefix('image: ')}") from error
