"""Decode picture bytes to an upright RGB picture on white; all limits are checked before a pixel is decoded.

A small hostile file can take minutes to decode: it holds thousands of chunks, scans or filler bytes. The limits here
are far above the values of real cameras and shops.
"""

import io
import math
import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin, UnidentifiedImageError

from .errors import ProductError
from .settings import ProductSettings

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_READS = 50_000
MAX_SCANS = 100
# Each scan visits every pixel. 25 megapixels in 90 scans took 1.5 s, and a batch may hold 64 such pictures. Cameras
# write 10 scans. So all scans together may visit this many times the pixels of the largest picture.
MAX_FULL_SCANS = 20
# A PNG, a WebP or a progressive JPEG is in memory as a whole before it can be scaled down.
MAX_WHOLE_PIXELS = 80_000_000
Result = TypeVar("Result")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# A JPEG is decoded at no less than this multiple of the size that it has in the model's square. JPEG's own downscaling
# is several times faster than a full decode, and the final resize still has more pixels than it needs.
_DRAFT_FACTOR = 1.5
_JPEG_SEGMENT = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_JPEG_MARK = 0xFF
_JPEG_SCAN, _JPEG_END = b"\xda", b"\xd9"
# EXIF 2.32, tag 0x0112: the transposition that turns the stored pixels upright.
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _Reader(io.BytesIO):
    """A file in memory with a limited number of reads; Pillow reads each part of a file separately."""

    def __init__(self, image: bytes) -> None:
        super().__init__(image)
        self._left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As :meth:`io.BytesIO.read`; too many reads mean that the file has too many parts."""
        self._left -= 1
        if self._left < 0:
            raise ProductError("image_corrupt", "image: split into too many parts; save it again as JPEG, PNG or WebP")
        return super().read(size)


def open_picture(image: bytes, settings: ProductSettings) -> Image.Image:
    """Decode a JPEG, PNG or WebP: first frame, EXIF orientation applied, transparency on white, 16 bits scaled to 8.

    JPEG and WebP carry no checksum, so a flipped bit is detected only if it breaks the format.

    Args:
        image: the encoded file.
        settings: limits, and the model's image size; a large JPEG is decoded at 1.5 times the size that it has in the
            model's square, or more.

    Returns:
        RGB picture; a large JPEG is scaled down by 2, 4 or 8.

    Raises:
        ProductError: ``image_empty``, ``image_too_large``, ``unsupported_image``, ``image_bad_shape``,
            ``image_corrupt`` or ``out_of_memory``.
    """
    return _checked(image, settings, _decode)


def check_header(image: bytes, settings: ProductSettings) -> None:
    """Refuse a picture for what its first bytes show: type, length and shape. Its pixels are not decoded.

    Raises:
        ProductError: as :func:`open_picture` for the same picture.
    """
    _checked(image, settings, lambda content, limits: _check_shape(_open(content), limits))


def _checked(image: bytes, settings: ProductSettings, read: Callable[[bytes, ProductSettings], Result]) -> Result:
    if not image:
        raise ProductError("image_empty", "image: the file is empty; send a JPEG, PNG or WebP")
    if len(image) > settings.max_image_bytes:
        raise ProductError(
            "image_too_large", f"image: longer than {settings.max_image_bytes} bytes; send a smaller file"
        )
    try:
        return read(image, settings)
    except ProductError:
        raise
    except MemoryError as error:
        raise ProductError("out_of_memory", "image: not enough memory to decode it; send a smaller one") from error
    except Exception as error:  # decoders raise many classes of errors on broken files
        raise ProductError("image_corrupt", "image: cannot be decoded; send a complete JPEG, PNG or WebP") from error


def header_pixels(image: bytes) -> int:
    """Number of pixels that the header states; 0 if the header cannot be read."""
    try:
        width, height = _open(image).size
    except Exception:  # open_picture reports the error later
        return 0
    return width * height


def _decode(image: bytes, settings: ProductSettings) -> Image.Image:
    picture = _open(image)
    _check_shape(picture, settings)
    if picture.format == "PNG":
        picture.verify()  # compares checksums, unlike decoding; a verified picture has to be opened again
        picture = _open(image)
    elif picture.format != "WEBP":
        width, height = picture.size
        _check_scans(image, min(MAX_SCANS, MAX_FULL_SCANS * settings.max_image_pixels // (width * height)))
    picture.draft(picture.mode, _draft_size(picture.size, settings))
    picture.load()
    upright = _TRANSPOSITIONS.get(_orientation(picture))
    rgb = _rgb(picture)
    return rgb if upright is None else rgb.transpose(upright)


def _draft_size(size: tuple[int, int], settings: ProductSettings) -> tuple[int, int]:
    """The smallest size to decode a JPEG at: a padded picture has its longer side on the square's edge."""
    edge = _DRAFT_FACTOR * settings.image_size
    width, height = (edge, edge) if settings.image_fit == "squash" else (edge * side / max(size) for side in size)
    return math.ceil(width), math.ceil(height)


def _open(image: bytes) -> Image.Image:
    if image.startswith(_JPEG):
        # Pillow's own limit of pixels holds for all formats, but a JPEG is scaled down while it is decoded.
        return JpegImagePlugin.JpegImageFile(_Reader(image))
    try:
        return Image.open(_Reader(image), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ProductError("image_too_large", "image: too many pixels; send a smaller picture") from error
    except UnidentifiedImageError as error:
        if image.startswith(_PNG) or (image[:4] == b"RIFF" and image[8:12] == b"WEBP"):
            raise
        raise ProductError("unsupported_image", "image: not a JPEG, PNG or WebP; convert it to one of these") from error


def _check_shape(picture: Image.Image, settings: ProductSettings) -> None:
    shortest, longest = sorted(picture.size)
    in_parts = picture.format == "JPEG" and not picture.info.get("progressive")
    limit = settings.max_image_pixels if in_parts else min(settings.max_image_pixels, MAX_WHOLE_PIXELS)
    if shortest * longest > limit:
        raise ProductError("image_too_large", f"image: more than {limit} pixels; send a smaller picture")
    if shortest < settings.min_image_side or longest > settings.max_image_ratio * shortest:
        raise ProductError(
            "image_bad_shape",
            f"image: width and height must be at least {settings.min_image_side} pixels, and the longer one at most "
            f"{settings.max_image_ratio:g} times the shorter",
        )


def _check_scans(image: bytes, limit: int) -> None:
    """Refuse a JPEG with too many segments or scans: libjpeg visits every pixel for each scan of a few bytes."""
    # bytes.count takes 0.5 ms for a photograph of 0.4 MB, this a tenth of it.
    values = np.frombuffer(image, dtype=np.uint8)
    marks = np.flatnonzero(values[:-1] == _JPEG_MARK) + 1
    if np.count_nonzero(values[marks] == _JPEG_SCAN[0]) <= limit:
        return
    # A scan marker may also be data within a segment or behind the picture, where phones append videos.
    position, scans, segments = 2, 0, 0
    while (found := _JPEG_SEGMENT.search(image, position)) and found[1] != _JPEG_END:
        position = found.end() + int.from_bytes(image[found.end() : found.end() + 2], "big")
        segments += 1
        scans += found[1] == _JPEG_SCAN
        if scans > limit or segments > MAX_READS:
            raise ProductError("image_corrupt", "image: a JPEG with too many scans; save it again as a plain JPEG")


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # some shops' tools write broken metadata; the pixels are still good
        return 1


def _rgb(picture: Image.Image) -> Image.Image:
    """Convert any mode to RGB on white; avoid copies, because a picture may have 25 million pixels."""
    if picture.mode.startswith("I"):
        return _grey_of_16_bits(picture)
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _grey_of_16_bits(picture: Image.Image) -> Image.Image:
    """Keep the upper 8 bits, as Pillow does for 16-bit colour; for grey, Pillow clips values above 255 to white."""
    values = np.asarray(picture)
    grey = (values >> 8).astype(np.uint8)
    if (transparent := picture.info.get("transparency")) is not None:
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
