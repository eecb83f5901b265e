"""A shop's own photographs: larger than a request may be, and scaled down while they are decoded.

A camera's JPEG of 45 megapixels is read at an eighth of its size in a fraction of the time and memory. The limits of
requests protect a server from strangers. Here the pictures are the caller's own, so only memory limits them.
"""

import dataclasses
import io

from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import header_pixels, open_picture
from handlers.product_serving.settings import ProductSettings

MAX_BYTES = 64_000_000
MAX_PIXELS = 250_000_000
SHRUNK_SIDE = 1024  # twice the largest usual model input
SHRUNK_QUALITY = 95
# A JPEG needs two bits for the smallest square of 8 pixels, so a shorter one is within the pixels of any request.
_SMALL_JPEG = 100_000


def open_photograph(image: bytes, settings: ProductSettings) -> Image.Image:
    """As :func:`handlers.product_serving.picture.open_picture`, with limits for the caller's own pictures.

    Raises:
        ProductError: as there.
    """
    try:
        return open_picture(image, settings)
    except ProductError as error:
        if error.type != "image_too_large":
            raise
    return open_picture(image, _own(settings))


def shrunk(image: bytes, settings: ProductSettings) -> bytes:
    """A picture within the limits of a request: a larger one as a JPEG of at most ``SHRUNK_SIDE`` pixels; else itself.

    Args:
        settings: the limits.

    Raises:
        ProductError: it is too large even for :func:`open_photograph`, or broken.
    """
    if not _is_too_large(image, settings):
        return image
    picture = open_picture(image, dataclasses.replace(_own(settings), image_size=SHRUNK_SIDE))
    picture.thumbnail((SHRUNK_SIDE, SHRUNK_SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=SHRUNK_QUALITY)
    return buffer.getvalue()


def _is_too_large(image: bytes, settings: ProductSettings) -> bool:
    if len(image) > settings.max_image_bytes:
        return True
    if len(image) < _SMALL_JPEG and image.startswith(b"\xff\xd8\xff"):
        return False
    return header_pixels(image) > settings.max_image_pixels


def _own(settings: ProductSettings) -> ProductSettings:
    return dataclasses.replace(
        settings,
        max_image_bytes=max(MAX_BYTES, settings.max_image_bytes),
        max_image_pixels=max(MAX_PIXELS, settings.max_image_pixels),
    )
