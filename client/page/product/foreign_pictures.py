"""Pictures that a server refuses, as ones that it reads: too large ones are shrunk, foreign formats become JPEG.

The server takes JPEG, PNG and WebP from strangers, within narrow limits. Here the pictures are the user's own.
"""

import importlib.util
import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageOps

from client.scoring.shrinking import ShrinkingFiles
from handlers.product_serving.errors import ProductError
from training.catalog import LIMITS, MAX_BYTES, RowError, shrunk

SIDE = 1024
QUALITY = 95
# Foreign formats are in memory as a whole before they can be scaled down.
MAX_PIXELS = 80_000_000
HEIC = "HEIC"
_NAMES = {"GIF": "GIF", "BMP": "BMP", "AVIF": "AVIF", "HEIF": HEIC}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")


class ServablePicture(NamedTuple):
    """A picture that the server reads.

    Args:
        content: the encoded picture.
        note: what was done to it, as a sentence; "" for nothing.
    """

    content: bytes
    note: str = ""


def reads_heic() -> bool:
    """True if the package that decodes HEIC is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def read_formats() -> str:
    """The formats that the page reads, for a sentence."""
    names = ["JPEG", "PNG", "WebP", "GIF", "BMP", "AVIF", *([HEIC] if reads_heic() else [])]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def servable(image: bytes) -> ServablePicture:
    """A picture as the server reads it; the first frame of an animation.

    Args:
        image: the encoded picture.

    Raises:
        ProductError: it is of another format, too large or broken; the message says how to mend it.
    """
    if not image or _is_native(image):
        content = shrunk(image, LIMITS) if image else image
        note = "" if content is image else f"It was too large for a request: sent as a JPEG of at most {SIDE} pixels."
        return ServablePicture(content, note)
    kind = _foreign_kind(image)
    if kind is None:
        raise ProductError(
            "unsupported_image",
            f"image: of a format that the page does not read; it reads {read_formats()}: save it as one of these",
        )
    if kind == "HEIF" and not reads_heic():
        raise ProductError(
            "unsupported_image",
            f"image: a HEIC, for which the package pillow-heif is missing; the page reads {read_formats()}: save it as "
            "a JPEG, or let `make ui` install what it needs",
        )
    content = _as_jpeg(image, kind)
    return ServablePicture(content, f"It was a {_NAMES[kind]}: sent as a JPEG of at most {SIDE} pixels.")


class ServableFiles(ShrinkingFiles):
    """The files of a catalogue, their pictures as the server reads them: foreign formats too."""

    def read(self, name: str, *, limit: int = LIMITS.max_image_bytes) -> bytes:
        """A picture within ``limit`` that the server reads, also from a larger file.

        Raises:
            RowError: as from the files; also ``unsupported_image`` and the like, with how to mend it.
        """
        try:
            return servable(self.files.read(name, limit=MAX_BYTES)).content
        except ProductError as error:
            raise RowError(error.type, f"{name!r}: {error.message.removeprefix('image: ')}") from error


def _is_native(image: bytes) -> bool:
    return image.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (
        image[:4] == b"RIFF" and image[8:12] == b"WEBP"
    )


def _foreign_kind(image: bytes) -> str | None:
    """Pillow's name of the format, by the first bytes; None for one that is not read."""
    if image.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if image.startswith(b"BM"):
        return "BMP"
    if image[4:8] == b"ftyp":
        # The main brand may be a general one; the exact one then stands in the list behind it.
        brands = image[8 : int.from_bytes(image[:4], "big")][:64]
        if any(brand in brands for brand in _AVIF_BRANDS):
            return "AVIF"
        if any(brand in brands for brand in _HEIC_BRANDS):
            return "HEIF"
    return None


def _as_jpeg(image: bytes, kind: str) -> bytes:
    if len(image) > MAX_BYTES:
        raise ProductError("image_too_large", f"image: more than {MAX_BYTES / 1e6:g} MB; save it smaller")
    picture = _whole(kind, lambda: _decoded(image, kind))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _whole(kind: str, decode: Callable[[], Image.Image]) -> Image.Image:
    try:
        return decode()
    except ProductError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except Exception as error:  # decoders raise many classes of errors on broken files
        raise ProductError(
            "image_corrupt", f"image: a {_NAMES[kind]} that cannot be decoded; save it again as a JPEG"
        ) from error


def _decoded(image: bytes, kind: str) -> Image.Image:
    """The first frame, upright, on white."""
    if kind == "HEIF":
        import pillow_heif  # noqa: PLC0415 - few pictures need it

        pillow_heif.register_heif_opener()
    picture: Image.Image = Image.open(io.BytesIO(image), formats=(kind,))
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_many_pixels()
    picture = ImageOps.exif_transpose(picture)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _too_many_pixels() -> ProductError:
    return ProductError("image_too_large", f"image: more than {MAX_PIXELS / 1e6:g} megapixels; save it smaller")
