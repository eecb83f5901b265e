"""A product's picture as the model read it, and over it what each part of it adds to the answer."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import Attribute, ProductSettings

SIDE = 448
# Okabe & Ito 2008: vermilion and blue are told apart by every kind of colour vision.
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
STRONGEST = 190
# Above 1: the strongest parts stand out, and noise around zero does not paint the background.
CONTRAST = 1.6
THUMBNAIL = 112
# Reads pictures as every archive does that does not say otherwise; the server has the last word on a picture.
_LIMITS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),), image_size=SIDE)


class Overlay(NamedTuple):
    """Two data URIs of the same square: the picture, and the colours to be laid over it; None where there are none."""

    picture: str
    heat: str | None


def overlay(image: bytes, grid: Sequence[Sequence[float]] | None, *, fit: str = "pad") -> Overlay:
    """Draw what decided.

    Args:
        image: the encoded picture, which the server has taken.
        grid: weights of its parts, row by row; None where the model did not read it.
        fit: how the model makes it square, ``pad`` or ``squash``.
    """
    picture = open_picture(image, _LIMITS)
    square = (
        picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        if fit == "squash"
        else ImageOps.pad(picture, (SIDE, SIDE), method=Image.Resampling.BICUBIC, color="white")
    )
    return Overlay(_data_uri(square, "JPEG"), None if grid is None else _data_uri(heat(grid), "PNG"))


def thumbnail(image: bytes) -> str:
    """A small JPEG of an encoded picture, as a data URI.

    Raises:
        ProductError: it cannot be decoded.
    """
    picture = open_picture(image, _LIMITS)
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return _data_uri(picture, "JPEG")


def heat(grid: Sequence[Sequence[float]]) -> Image.Image:
    """Weights as an RGBA picture: the colour tells the sign, the opacity the size beside the largest one."""
    weights = np.asarray(grid, dtype=np.float32)
    largest = float(np.abs(weights).max()) or 1.0
    smooth = Image.fromarray(weights / largest).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    values: NDArray[np.float32] = np.asarray(smooth).clip(-1, 1)
    opacity = np.abs(values) ** CONTRAST * STRONGEST
    colours = np.where(values[:, :, None] >= 0, np.array(FOR), np.array(AGAINST))
    return Image.fromarray(np.dstack([colours, opacity]).astype(np.uint8), "RGBA")


def _data_uri(picture: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=88, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
