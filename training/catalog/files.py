"""The files of a catalogue, in a folder or a zip, behind one interface; safe in threads and forked processes.

Pictures are decoded as the server does, so that training and serving refuse the same ones.
"""

import hashlib
import io
import os
import posixpath
import struct
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.embedded import EmbeddedPictures
from training.catalog.finding import (
    FIRST_SUFFIXES,
    LAST_SUFFIXES,
    OTHER_SUFFIXES,
    ClassFolders,
    class_folders,
    files_below,
    find_tables,
    is_hidden,
    names_with,
    refuse_without_table,
    tables_in,
)
from training.catalog.formats.content import is_workbook, zip_content
from training.catalog.formats.errors import READ_ERRORS, CatalogError, RowError
from training.catalog.pictures.folder_names import FolderNames
from training.catalog.pictures.names import MAX_LISTED, Listed, PictureNames, has_picture_suffix
from training.catalog.pictures.paths import certain_path, safe_path
from training.catalog.pictures.photograph import open_photograph
from training.catalog.pictures.zip_names import file_entries, other_spellings

__all__ = [
    "LIMITS",
    "READ_ERRORS",
    "CatalogError",
    "CatalogFiles",
    "FolderFiles",
    "RowError",
    "ZipFiles",
    "decode_picture",
    "open_files",
    "safe_path",
]

LIMITS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),))
MAX_FILE_BYTES = 256_000_000


class CatalogFiles(Protocol):
    """The table of a catalogue and the pictures beside it.

    Attributes:
        table_name: path of the table within the folder or zip.
        further_parts: paths of the other parts of a Parquet.
        classes: the table of a folder for each class; None for a table in a file.
        names: finds the file for a name that is not written exactly as the file's.
    """

    table_name: str
    further_parts: Sequence[str]
    classes: ClassFolders | None
    names: PictureNames

    def open_table(self, name: str | None = None) -> AbstractContextManager[IO[bytes]]:
        """The table as a stream, or a further part of it; reading it may raise one of ``READ_ERRORS``.

        Raises:
            CatalogError: it cannot be opened.
        """
        ...

    def fingerprint(self) -> str:
        """A sha256 in hexadecimal: of the table; for a zip, of the listing of all its files."""
        ...

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of a file; its path is relative to the table's folder, or a name that one file fits for certain.

        Raises:
            RowError: ``image_outside``, ``image_missing``, ``image_corrupt``, or ``image_too_large`` for more than
                ``limit`` bytes.
        """
        ...


class FolderFiles:
    """A table and the files below its folder.

    Args:
        table: path of the table; of the folder itself if its folders are classes.
        further_parts: names of the other parts of a Parquet, beside it.
        classes: the table of folders that are classes.
    """

    def __init__(self, table: Path, further_parts: Sequence[str] = (), classes: ClassFolders | None = None) -> None:
        self.table_name = table.name
        self.further_parts: Sequence[str] = further_parts
        self.classes = classes
        self._root = (table if classes else table.parent).resolve()
        self._embedded = EmbeddedPictures(self)
        folder, inside = FolderNames(self._root), self._embedded
        self.names = PictureNames(lambda name: folder.has(name) or inside.has(name), folder.listed)

    def __reduce__(self) -> tuple[type["FolderFiles"], tuple[Path, Sequence[str], ClassFolders | None]]:
        table = self._root if self.classes else self._root / self.table_name
        return FolderFiles, (table, self.further_parts, self.classes)

    @contextmanager
    def open_table(self, name: str | None = None) -> Iterator[IO[bytes]]:
        if self.classes:
            yield io.BytesIO(self.classes.table)
            return
        name = name or self.table_name
        path = self._root / name
        try:
            if path.exists() and not path.is_file():
                raise CatalogError(f"{path} is no file: save the table as a file first")
            stream = path.open("rb")
        except OSError as error:
            raise CatalogError(f"{name} cannot be read: {error}") from error
        with stream:
            yield stream

    def fingerprint(self) -> str:
        parts = []
        for name in (self.table_name, *self.further_parts):
            with self.open_table(name) as stream:
                parts.append(hashlib.file_digest(stream, "sha256").hexdigest())  # type: ignore[arg-type]
        return parts[0] if len(parts) == 1 else hashlib.sha256(repr(parts).encode()).hexdigest()

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        if self._embedded.has(name):
            return self._embedded.read(name, limit=limit)
        try:
            # A symbolic link may lead out of the folder, so it is resolved before the check.
            path = (self._root / certain_path(name, self.names)).resolve()
            if not path.is_relative_to(self._root):
                raise RowError("image_outside", f"{name!r} is a link that leads out of the catalogue's folder")
            if not path.is_file():
                raise RowError("image_missing", f"{name!r} is not there{self.names.hint(name)}")
            if path.stat().st_size > limit:
                raise RowError("image_too_large", f"{name!r} has more than {limit / 1e6:g} MB")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:
            # pathlib raises RuntimeError for a link that leads to itself.
            raise RowError("image_missing", f"{name!r} cannot be read: {error}") from error


class ZipFiles:
    """A table and the files below its folder, or folders that are classes, in a zip.

    The directory is parsed once, and entries are read by their position in the file (``pread``). ``zipfile`` keeps one
    file offset, which threads and forked processes would share.

    Raises:
        CatalogError: it cannot be read, is no zip, or holds no table or several.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        try:
            with zipfile.ZipFile(path) as archive:
                self._entries = file_entries(archive.infolist())
        except zipfile.BadZipFile as error:
            raise CatalogError(f"{path} is no complete zip file ({error}): download or make it again") from error
        except OSError as error:
            raise CatalogError(f"{path} cannot be read ({error.strerror or error}): let this user read it") from error
        tables, self.classes = _tables_and_classes(
            path, list(self._entries), lambda each: names_with(self._entries, each)
        )
        self.table_name = tables[0] if tables else path.name
        self.further_parts: Sequence[str] = tables[1:]
        self._root = posixpath.dirname(self.table_name) if tables else ""
        self._embedded = EmbeddedPictures(self)
        self.names = PictureNames(self._has, self._listed)
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[type["ZipFiles"], tuple[Path]]:
        return ZipFiles, (self._path,)

    @contextmanager
    def open_table(self, name: str | None = None) -> Iterator[IO[bytes]]:
        if self.classes:
            yield io.BytesIO(self.classes.table)
            return
        name = name or self.table_name
        with zipfile.ZipFile(self._path) as archive:
            try:
                stream = archive.open(self._entries[name])
            except READ_ERRORS as error:
                raise CatalogError(f"{name!r} cannot be read from the zip: {error}") from error
            with stream:
                yield stream

    def fingerprint(self) -> str:
        listing = sorted((entry.filename, entry.CRC, entry.file_size) for entry in self._entries.values())
        return hashlib.sha256(repr(listing).encode()).hexdigest()

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        if self._embedded.has(name):
            return self._embedded.read(name, limit=limit)
        entry = self._entries.get(posixpath.join(self._root, certain_path(name, self.names)))
        if entry is None:
            raise RowError("image_missing", f"{name!r} is not in the zip{self.names.hint(name)}")
        if entry.file_size > limit:
            raise RowError("image_too_large", f"{name!r} has more than {limit / 1e6:g} MB")
        try:
            content = self._extract(entry)
        except (OSError, zlib.error, struct.error) as error:
            raise RowError("image_corrupt", f"{name!r} is damaged in the zip: {error}") from error
        if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
            raise RowError("image_corrupt", f"{name!r} is damaged in the zip: its checksum differs")
        return content

    def _has(self, name: str) -> bool:
        return posixpath.join(self._root, name) in self._entries or self._embedded.has(name)

    def _listed(self) -> list[Listed] | None:
        """The files below the table's folder that may be pictures; see :class:`PictureNames`."""
        below = f"{self._root}/" if self._root else ""
        files = [
            Listed(path[len(below) :], [name[len(below) :] for name in other_spellings(path) if name.startswith(below)])
            for path in self._entries
            if path.startswith(below) and has_picture_suffix(path) and not is_hidden(PurePosixPath(path))
        ]
        return files if len(files) <= MAX_LISTED else None

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
    """Find the catalogue at ``path``: a table, or a folder or zip that holds one or has a folder for each class.

    If there are several tables, those in the uppermost folder count, so that results in a folder below are not taken
    for the catalogue. Among these ``styles.csv`` comes first, then a CSV, then a Parquet, then other formats.

    Raises:
        CatalogError: there is no table, or more than one candidate.
    """
    path = Path(path)
    if not path.exists():
        raise CatalogError(f"{path} does not exist: give a CSV, a Parquet, a folder with one, or a zip with a CSV")
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise CatalogError(f"{path} is no file: save the table as a file first")
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return FolderFiles(path) if _holds_workbook(path) else ZipFiles(path)
    return FolderFiles(path)


def _open_folder(path: Path) -> FolderFiles:
    tables, classes = _tables_and_classes(path, files_below(path), lambda each: tables_in(path, each))
    if classes:
        return FolderFiles(path.resolve(), classes=classes)
    first = path / tables[0]
    return FolderFiles(first, [posixpath.relpath(each, posixpath.dirname(tables[0])) for each in tables[1:]])


def _tables_and_classes(
    path: Path, names: Iterable[str], with_suffixes: Callable[[Sequence[str]], list[str]]
) -> tuple[list[str], ClassFolders | None]:
    """The tables, or else the folders that are classes.

    Raises:
        CatalogError: there are neither, or several candidates.
    """
    if tables := find_tables(with_suffixes(FIRST_SUFFIXES), path) or find_tables(with_suffixes(OTHER_SUFFIXES), path):
        return tables, None
    every = list(names)
    if classes := class_folders(every):
        return [], classes
    if tables := find_tables(with_suffixes(LAST_SUFFIXES), path):
        return tables, None
    raise refuse_without_table(every, path)


def _holds_workbook(path: Path) -> bool:
    """True for an XLSX, which is a zip.

    Raises:
        CatalogError: the zip is the file of another format, which is not read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False  # the one who reads it says so
    kind, advice = zip_content(names)
    if kind and path.suffix.lower() != ".zip":
        raise CatalogError(f"{path} is {kind}: {advice}")
    return is_workbook(names)


def decode_picture(image: bytes, *, name: str) -> Image.Image:
    """Decode a picture, also a photograph that is larger than a served model takes.

    Args:
        name: the file's name, for the message.

    Returns:
        An upright RGB picture, transparency on white; a large photograph may be scaled down.

    Raises:
        RowError: its reason is the error ``type`` of the server.
    """
    try:
        return open_photograph(image, LIMITS)
    except ProductError as error:
        raise RowError(error.type, f"{name!r}: {error.message.removeprefix('image: ')}") from error
