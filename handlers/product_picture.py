"""Encoded picture bytes to an upright RGB picture on white; every limit is checked before a pixel is decoded."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if __package__:
    from .product_errors import ProductError
    from .settings import ProductSettings
else:
    from product_errors import ProductError
    from settings import ProductSettings

FORMATS = ("JPEG", "PNG", "WEBP")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
# A photograph is decoded at no less than this multiple of the model's side: JPEG's own downscaling is several times
# faster than decoding everything, and the final resize still has twice the pixels it needs.
_DRAFT_FACTOR = 2


def open_picture(image: bytes, settings: ProductSettings) -> Image.Image:
    """Decode a JPEG, PNG or WebP: first frame, EXIF orientation applied, transparency on white, 16 bits scaled to 8.

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
        with _open(image) as picture:
            _check_shape(picture.size, settings)
            side = _DRAFT_FACTOR * settings.image_size
            picture.draft(picture.mode, (side, side))
            picture.load()
            return _rgb(_upright(picture))
    except ProductError:
        raise
    except MemoryError as error:
        raise ProductError("out_of_memory", "image: not enough memory to decode it; send a smaller one") from error
    except Exception as error:  # decoders fail in many ways on broken files, and each of them means the same
        raise ProductError("image_corrupt", "image: cannot be decoded; send a complete JPEG, PNG or WebP") from error


def _open(image: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(image), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ProductError("image_too_large", "image: too many pixels; send a smaller picture") from error
    except UnidentifiedImageError as error:
        if image.startswith(_MAGIC) or (image[:4] == b"RIFF" and image[8:12] == b"WEBP"):
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


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except Exception:  # broken metadata on a good picture: shops' tools write such, and the pixels are all we need
        return picture


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16-bit grey; converting it directly would clip everything above 255 to white
        grey = np.asarray(picture).astype(np.uint32)
        return Image.fromarray((grey // 257).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")
