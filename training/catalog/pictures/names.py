r"""Find the file that a cell of the table means, where its name is not written as the file's.

Tables are written on other machines than the pictures lie on: ``images\A.JPG`` for ``images/a.jpg``, a leading ``/``,
no suffix, ``%20`` for a blank, composed and decomposed accents. A file is taken only if exactly one fits. Names are
looked up in the listing of the catalogue's folder or zip, so no name leads out of it.
"""

import html
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

# Of a larger folder only exact names are read: the index takes some 500 bytes for each file.
MAX_LISTED = 300_000
MOST_NEAR = 3
MAX_KEPT = 100_000  # names whose file is remembered
PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".svg"),
)
_SAME_SUFFIX = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}
_QUOTES = "\"'`“”‘’«»<>"  # what spreadsheets and word processors put around a name
_DRIVE = re.compile(r"(?:file:/*(?=/|[A-Za-z]:))?(?:[A-Za-z]:(?=[/\\]))?", re.IGNORECASE)
_QUERY = re.compile(r"[?#].*", re.DOTALL)


class Listed(NamedTuple):
    """A file that may be a picture.

    Attributes:
        path: as :meth:`training.catalog.files.CatalogFiles.read` takes it.
        spellings: names that the file may be known by; the path is one of them.
    """

    path: str
    spellings: Sequence[str]


class Found(NamedTuple):
    """What a name leads to.

    Attributes:
        path: the file, relative to the table; None if none or several fit.
        exact: the name is the file's own.
        shortened: folders of the name were left out, as in ``shop/a.jpg`` for ``a.jpg``. Two names that differ only in
            those folders lead to one file; see :meth:`PictureNames.note_cells`.
        near: files that were perhaps meant, if ``path`` is None.
    """

    path: str | None
    exact: bool = False
    shortened: bool = False
    near: Sequence[str] = ()


class PictureNames:
    """The names of a catalogue's pictures.

    Args:
        has: True if a file has exactly this relative path.
        listed: lists the files that may be pictures; None if there are more than ``MAX_LISTED``.
    """

    def __init__(self, has: Callable[[str], bool], listed: Callable[[], Sequence[Listed] | None]) -> None:
        self.has = has
        self._listed = listed
        self._index: _Index | None = None
        self._shared: set[str] | None = None
        self._found: dict[str, Found] = {}

    def find(self, name: str) -> Found:
        """Find the file for a name. Names that lead out of the folder find nothing."""
        found = self._found.get(name)
        if found is None:
            if len(self._found) >= MAX_KEPT:
                self._found.clear()
            found = self._found[name] = self._find(name)
        return found

    def _find(self, name: str) -> Found:
        for exact in (name, posixpath.normpath(name)):
            if self.has(exact):
                return Found(exact, exact=True)
        plain = plain_path(name)
        if plain is None or "\0" in name:
            return Found(None)
        if (spelling := next(filter(self.has, _spellings(plain)), None)) is not None:
            return Found(spelling)
        found = self._indexed().find(plain)
        if found.shortened and found.path in (self._shared or ()):
            return Found(None, near=[found.path] if found.path else [])
        return found

    def hint(self, name: str) -> str:
        """What to say of a name that finds nothing: ``""``, or a clause that names what is there."""
        index = self._indexed()
        if index.is_partial:
            return f"; more than {MAX_LISTED:,} files lie there, so a name must be written exactly as its file's"
        plain = plain_path(name)
        near = [] if plain is None else self.find(name).near or index.near(plain)
        return f", but {' and '.join(map(repr, near))} {'are' if len(near) > 1 else 'is'} there" if near else ""

    @property
    def knows_shared(self) -> bool:
        """True after :meth:`note_cells`."""
        return self._shared is not None

    def note_cells(self, names: Iterable[str]) -> None:
        """Look through all names of the table: a file that two of them would share by leaving out folders is no find.

        ``red/1.jpg`` and ``blue/1.jpg`` are two pictures; if only ``1.jpg`` is there, it is neither for certain.
        """
        self._found.clear()
        self._shared = set()
        first: dict[str, str] = {}
        shared = set()
        for name in names:
            found = self.find(name)
            if found.path is not None and first.setdefault(found.path, folded(name)) != folded(name):
                shared.add(found.path)
        self._found.clear()
        self._shared = shared

    def _indexed(self) -> "_Index":
        if self._index is None:
            self._index = _Index(self._listed())
        return self._index


class _Index:
    """Files by every end of their path, written alike: ``images/a.jpg`` and ``a.jpg`` for ``Images/A.JPEG``."""

    def __init__(self, files: Sequence[Listed] | None) -> None:
        self.is_partial = files is None
        self._paths: list[str] = []
        self._ends: dict[str, tuple[int, ...]] = {}
        self._whole: dict[str, tuple[int, ...]] = {}
        self._loose: dict[str, tuple[int, ...]] | None = None
        for place, file in enumerate(files or ()):
            self._paths.append(file.path)
            for spelling in dict.fromkeys(map(folded, file.spellings)):
                _add(self._whole, spelling, place)
                for end in _ends(spelling):
                    _add(self._ends, end, place)

    def find(self, plain: str) -> Found:
        key = folded(plain)
        for table in (self._whole, self._ends):
            if places := _lookup(table, key):
                return self._certain(places, plain)
        for end in list(_ends(key))[1:]:
            if places := _lookup(self._whole, end):
                return self._certain(places, plain)._replace(shortened=True)
        return Found(None)

    def near(self, plain: str) -> list[str]:
        """Files with the same name in another folder, with another suffix, or with other zeros and punctuation."""
        base = posixpath.basename(folded(plain))
        if self._loose is None:
            self._loose = {}
            for place, path in enumerate(self._paths):
                _add(self._loose, _loose(posixpath.basename(folded(path))), place)
        places = self._ends.get(base) or self._loose.get(_loose(base), ())
        return [self._paths[place] for place in places[:MOST_NEAR]]

    def _certain(self, places: Sequence[int], plain: str) -> Found:
        """The only file, or the only one among several that differs in nothing but blanks, slashes and accents."""
        paths = [self._paths[place] for place in places]
        same = [path for path in paths if unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", plain)]
        paths = same or paths
        return Found(paths[0]) if len(paths) == 1 else Found(None, near=paths[:MOST_NEAR])


def plain_path(name: str) -> str | None:
    """A name without blanks and quotes around it, drive, leading and doubled slashes; None if it leads out."""
    name = name.strip().strip(_QUOTES).strip()
    name = name[_DRIVE.match(name).end() :].replace("\\", "/")  # type: ignore[union-attr]  # it matches the empty text
    name = posixpath.normpath(re.sub(r"/{2,}", "/", name).lstrip("/"))
    return None if name in (".", "..") or name.startswith("../") else name


def folded(name: str) -> str:
    """A key that is equal for names that differ only in how they are written."""
    if not (name.isascii() and name.isprintable() and not set(name) & set("%&?#+\\ ")):
        name = unquote(html.unescape(name))
        name = _QUERY.sub("", name) or name
        name = name.replace("\\", "/").replace("+", " ")
        name = "".join(each for each in unicodedata.normalize("NFKC", name) if unicodedata.category(each) != "Cf")
        name = "/".join(" ".join(part.split()) for part in name.split("/"))
        name = unicodedata.normalize("NFC", name.casefold())
    name = name.casefold()
    stem, suffix = posixpath.splitext(name)
    return stem + _SAME_SUFFIX.get(suffix, suffix)


def has_picture_suffix(name: str) -> bool:
    """True if a name ends as the files of pictures do, whatever stands behind a question mark."""
    return posixpath.splitext(_QUERY.sub("", name.strip().strip(_QUOTES)).lower())[1] in PICTURE_SUFFIXES


def _spellings(plain: str) -> Iterator[str]:
    """Names to try before the folder is listed."""
    for name in dict.fromkeys((plain, unquote(plain), _QUERY.sub("", plain), _QUERY.sub("", unquote(plain)))):
        if name and plain_path(name) == name:
            yield from (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))


def _lookup(table: dict[str, tuple[int, ...]], key: str) -> tuple[int, ...]:
    if has_picture_suffix(key):
        return table.get(key, ())
    return tuple(place for suffix in PICTURE_SUFFIXES for place in table.get(key + suffix, ()))


def _ends(path: str) -> Iterator[str]:
    while path:
        yield path
        _, _, path = path.partition("/")


def _loose(base: str) -> str:
    """Letters and digits of a file's name without its suffix, without leading zeros."""
    stem = posixpath.splitext(base)[0] if has_picture_suffix(base) else base
    stem = re.sub(r"\.0$", "", stem)  # 1.0 is what a table of numbers makes of 00001
    return re.sub(r"[\W_]+", "", stem).lstrip("0")


def _add(table: dict[str, tuple[int, ...]], key: str, place: int) -> None:
    places = table.get(key, ())
    if key and place not in places and len(places) <= MOST_NEAR:
        table[key] = (*places, place)
