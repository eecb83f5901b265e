"""Shrinks the pictures that are too large for a request, such as photographs of 45 megapixels, while they are read."""

from contextlib import AbstractContextManager
from typing import IO

from handlers.product_serving.errors import ProductError
from training.catalog import LIMITS, MAX_BYTES, CatalogFiles, RowError, shrunk


class ShrinkingFiles:
    """The files of a catalogue; a picture beyond the server's limits is read as a smaller JPEG.

    Args:
        files: of the catalogue.
    """

    def __init__(self, files: CatalogFiles) -> None:
        self.files = files
        self.table_name = files.table_name
        self.further_parts = files.further_parts
        self.classes = files.classes
        self.names = files.names

    def __reduce__(self) -> tuple[type["ShrinkingFiles"], tuple[CatalogFiles]]:
        return type(self), (self.files,)

    def open_table(self, name: str | None = None) -> AbstractContextManager[IO[bytes]]:
        """As of the files."""
        return self.files.open_table(name)

    def fingerprint(self) -> str:
        """As of the files."""
        return self.files.fingerprint()

    def read(self, name: str, *, limit: int = LIMITS.max_image_bytes) -> bytes:
        """The bytes of a picture, at most ``limit``.

        Raises:
            RowError: as from the files; ``image_too_large`` also for a large file that cannot be shrunk.
        """
        return shrunk_picture(self.files.read(name, limit=MAX_BYTES), name=name)


def shrunk_picture(image: bytes, *, name: str) -> bytes:
    """A picture within the server's limits: a larger one as a smaller JPEG, any other as it is.

    Raises:
        RowError: ``image_too_large``, a large file that cannot be shrunk.
    """
    try:
        return shrunk(image, LIMITS)
    except ProductError as error:
        reason = error.message.removeprefix("image: ")
        detail = f"{name!r} is too large for a request, and cannot be shrunk: {reason}"
        raise RowError("image_too_large", detail) from error
