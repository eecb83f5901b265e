"""Encoded picture bytes to an upright RGB picture on white; every limit is checked before a pixel is decoded.

Small files can be made to cost minutes: thousands of chunks, of scans, of filler bytes. Each has a limit here that no
camera or shop comes near.
"""

import io
import re

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from .errors import ProductError
from .settings import ProductSettings

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_READS = 50_000
MAX_SCANS = 100
# Each scan visits every pixel: 25 megapixels in 90 scans took 1.5 s, and a batch may bring 64 such. Cameras write 10.
MAX_SCANNED_PIXELS = 500_000_000
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
# A photograph is decoded at no less than this multiple of the model's side: JPEG's own downscaling is several times
# faster than decoding everything, and the final resize still has twice the pixels it needs.
_DRAFT_FACTOR = 2
_JPEG_SEGMENT = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_JPEG_SCAN, _JPEG_END = b"\xda", b"\xd9"
# EXIF 2.32, tag 0x0112: how to turn the stored pixels upright.
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
    """A file in memory that can be read from only so often; Pillow reads a file's parts one by one."""

    def __init__(self, image: bytes) -> None:
        super().__init__(image)
        self._left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As :meth:`io.BytesIO.read`; one read too many means that the file is made of crumbs."""
        self._left -= 1
        if self._left < 0:
            raise ProductError("image_corrupt", "image: split into too many parts; save it again as JPEG, PNG or WebP")
        return super().read(size)


def open_picture(image: bytes, settings: ProductSettings) -> Image.Image:
    """Decode a JPEG, PNG or WebP: first frame, EXIF orientation applied, transparency on white, 16 bits scaled to 8.

    JPEG and WebP carry no checksum: of a flipped bit in one, only what breaks the format can be noticed.

    Args:
        image: the encoded file.
        settings: limits, and the size below which a large JPEG is not decoded.

    Returns:
        RGB; a large JPEG comes back scaled down by 2, 4 or 8.

    Raises:
        ProductError: ``image_empty``, ``image_too_large``, ``unsupported_image``, ``image_bad_shape``,
            ``image_corrupt`` or ``out_of_memory``.
    """
    if not image:
        raise ProductError("image_empty", "image: the file is empty; send a JPEG, PNG or WebP")
    if len(image) > settings.max_image_bytes:
        raise ProductError(
            "image_too_large", f"image: longer than {settings.max_image_bytes} bytes; send a smaller file"
        )
    try:
        return _decode(image, settings)
    except ProductError:
        raise
    except MemoryError as error:
        raise ProductError("out_of_memory", "image: not enough memory to decode it; send a smaller one") from error
    except Exception as error:  # decoders fail in many ways on broken files, and each of them means the same
        raise ProductError("image_corrupt", "image: cannot be decoded; send a complete JPEG, PNG or WebP") from error


def header_pixels(image: bytes) -> int:
    """Pixels of a picture by its header; 0 where the header cannot be read."""
    try:
        width, height = _open(image).size
    except Exception:  # whatever is wrong with it, open_picture says so in its place
        return 0
    return width * height


def _decode(image: bytes, settings: ProductSettings) -> Image.Image:
    picture = _open(image)
    _check_shape(picture.size, settings)
    if picture.format == "PNG":
        picture.verify()  # compares the checksums, which decoding does not; what was verified cannot be decoded
        picture = _open(image)
    elif picture.format != "WEBP":
        width, height = picture.size
        _check_scans(image, min(MAX_SCANS, MAX_SCANNED_PIXELS // (width * height)))
    side = _DRAFT_FACTOR * settings.image_size
    picture.draft(picture.mode, (side, side))
    picture.load()
    upright = _TRANSPOSITIONS.get(_orientation(picture))
    rgb = _rgb(picture)
    return rgb if upright is None else rgb.transpose(upright)


def _open(image: bytes) -> Image.Image:
    try:
        return Image.open(_Reader(image), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ProductError("image_too_large", "image: too many pixels; send a smaller picture") from error
    except UnidentifiedImageError as error:
        if image.startswith(_STARTS) or (image[:4] == b"RIFF" and image[8:12] == b"WEBP"):
            raise
        raise ProductError("unsupported_image", "image: not a JPEG, PNG or WebP; convert it to one of these") from error


def _check_shape(size: tuple[int, int], settings: ProductSettings) -> None:
    shortest, longest = sorted(size)
    if shortest * longest > settings.max_image_pixels:
        raise ProductError(
            "image_too_large", f"image: more than {settings.max_image_pixels} pixels; send a smaller picture"
        )
    if shortest < settings.min_image_side or longest > settings.max_image_ratio * shortest:
        raise ProductError(
            "image_bad_shape",
            f"image: sides must be at least {settings.min_image_side} pixels, and the longer one at most "
            f"{settings.max_image_ratio:g} times the shorter",
        )


def _check_scans(image: bytes, limit: int) -> None:
    """Refuse a JPEG of very many segments or scans: each scan of a few bytes makes libjpeg visit every pixel."""
    if image.count(b"\xff" + _JPEG_SCAN) <= limit:
        return
    # What looks like a scan may lie inside a segment, or behind the picture: telephones append films.
    position, scans, segments = 2, 0, 0
    while (found := _JPEG_SEGMENT.search(image, position)) and found[1] != _JPEG_END:
        position = found.end() + int.from_bytes(image[found.end() : found.end() + 2], "big")
        segments += 1
        scans += found[1] == _JPEG_SCAN
        if scans > limit or segments > MAX_READS:
            raise ProductError("image_corrupt", "image: a JPEG of too many scans; save it again as a plain JPEG")


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # broken metadata on a good picture: shops' tools write such, and the pixels are all we need
        return 1


def _rgb(picture: Image.Image) -> Image.Image:
    """RGB of any mode, on white; copies no pixel that it need not, since a picture may have 25 million."""
    if picture.mode.startswith("I"):
        return _grey_of_16_bits(picture)
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _grey_of_16_bits(picture: Image.Image) -> Image.Image:
    """The upper 8 bits, as Pillow reads 16-bit colour; its own conversion clips all above 255 to white."""
    values = np.asarray(picture)
    grey = (values >> 8).astype(np.uint8)
    if (transparent := picture.info.get("transparency")) is not None:
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
