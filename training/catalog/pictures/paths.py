"""The path that a name in the table means; none leads out of the catalogue's folder."""

import posixpath

from training.catalog.formats.errors import RowError
from training.catalog.pictures.names import PictureNames


def certain_path(name: str, names: PictureNames) -> str:
    """The path that a name means: its own, or that of the one file that fits.

    Raises:
        RowError: as :func:`safe_path`, if no file fits.
    """
    if not names.has(name):
        found = names.find(name)
        # Whether a left-out folder is certain is known only with the whole table; see training.catalog.picture_column.
        if found.path is not None and not found.shortened:
            return found.path
    return safe_path(name)


def safe_path(name: str) -> str:
    """Normalise a relative path and check that it does not leave its folder.

    Raises:
        RowError: ``image_outside``, or ``image_missing`` for a name that no file can have.
    """
    if "\0" in name:
        raise RowError("image_missing", f"{name!r} holds a NUL character, which no file name can hold")
    if "://" in name:
        raise RowError("image_outside", f"{name!r} is a web address; `python -m training fetch` gets the picture")
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path == "..":
        raise RowError("image_outside", f"{name!r} leads out of the catalogue's folder; put the picture beside the CSV")
    return path
