"""Small pictures of many products, side by side on a few sheets: one file can hold thousands of them."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

from PIL import Image, ImageOps

from training.system.progress import progress
from training.system.threads import map_threads

SIDE = 96
ACROSS = 16
PER_SHEET = ACROSS * ACROSS
QUALITY = 70
MOST_BYTES = 10_000_000  # 13.3 MB in base64, so that a report stays below 20 MB


class Thumbnails(NamedTuple):
    """Sheets of ``ACROSS`` x ``ACROSS`` tiles, each ``SIDE`` pixels wide and high, row by row.

    Args:
        sheets: WebP files.
        tiles: number of a product's tile, counted over all sheets, by product.
    """

    sheets: list[bytes]
    tiles: dict[str, int]


def draw_thumbnails(products: Sequence[str], picture: Callable[[str], Image.Image | None]) -> Thumbnails:
    """Draw products in order, until ``MOST_BYTES`` are spent; those without a picture get no tile.

    Args:
        products: unique ids, the most important first.
        picture: RGB picture of a product, or None; it is called in threads.
    """
    drawn, size = Thumbnails([], {}), 0
    waiting: list[tuple[str, Image.Image]] = []
    for start in progress(range(0, len(products), PER_SHEET), description="small pictures", unit="sheet"):
        chunk = products[start : start + PER_SHEET]
        tiles = map_threads(lambda product: _tile(picture(product)), chunk, description="", progress=False)
        waiting += [(product, tile) for product, tile in zip(chunk, tiles, strict=True) if tile is not None]
        last = start + PER_SHEET >= len(products)
        while len(waiting) >= PER_SHEET or (last and waiting):
            sheet = _sheet([tile for _, tile in waiting[:PER_SHEET]])
            size += len(sheet)
            if size > MOST_BYTES:
                return drawn
            first = len(drawn.sheets) * PER_SHEET
            drawn.tiles.update({product: first + number for number, (product, _) in enumerate(waiting[:PER_SHEET])})
            drawn.sheets.append(sheet)
            del waiting[:PER_SHEET]
    return drawn


def _tile(picture: Image.Image | None) -> Image.Image | None:
    if picture is None:
        return None
    return ImageOps.pad(picture, (SIDE, SIDE), method=Image.Resampling.LANCZOS, color="white")


def _sheet(tiles: Sequence[Image.Image]) -> bytes:
    sheet = Image.new("RGB", (SIDE * min(len(tiles), ACROSS), SIDE * -(-len(tiles) // ACROSS)), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % ACROSS * SIDE, number // ACROSS * SIDE))
    with io.BytesIO() as file:
        sheet.save(file, "WEBP", quality=QUALITY)
        return file.getvalue()
