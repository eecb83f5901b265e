"""A shop's catalogue with one picture, read whole, for the tests of formats."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from training.catalog.reading import Catalog, CatalogSource, read_catalog

ROWS = [["a.jpg", "Cap, navy", "Caps"], ["a.jpg", "Größe 42, Gömlek", "Shirts"]]
TEXT = 'image,text,label\na.jpg,"Cap, navy",Caps\na.jpg,"Größe 42, Gömlek",Shirts\n'


def picture(colour: str = "navy", kind: str = "JPEG") -> bytes:
    """A picture of 8x6 pixels."""
    file = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(file, kind)
    return file.getvalue()


def write(folder: Path, name: str, content: bytes | str) -> Path:
    """Write a table beside ``a.jpg``."""
    (folder / "a.jpg").write_bytes(picture())
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, *, max_rejected: float = 1.0, **columns: Any) -> Catalog:
    """Read a catalogue without a word."""
    return read_catalog(CatalogSource(path=str(path), **columns), max_rejected=max_rejected, progress=False)


def cells(catalog: Catalog) -> list[list[str]]:
    """Picture, title and label of each product."""
    found: list[list[str]] = catalog.products[["image", "text", "label"]].to_numpy().tolist()
    return found
