"""Draws a product's picture as the model reads it, with a heat map of each part's contribution to the answer."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import Attribute, ProductSettings

SIDE = 448
# Okabe & Ito 2008: every kind of colour vision can distinguish vermilion and blue.
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
STRONGEST = 190
# Above 1: the strongest parts stand out, and noise around zero leaves the background clear.
CONTRAST = 1.6
THUMBNAIL = 112
LARGE = 720
# The default limits of an archive; the server may accept fewer pictures.
_LIMITS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),), image_size=SIDE)
_LARGE = dataclasses.replace(_LIMITS, image_size=LARGE)


class Overlay(NamedTuple):
    """Data URIs of a square picture and of its heat map; ``heat`` is None if the model did not read the picture."""

    picture: str
    heat: str | None


def overlay(image: bytes, grid: Sequence[Sequence[float]] | None, *, fit: str = "pad") -> Overlay:
    """Draw the picture and the heat map of its parts.

    Args:
        image: the encoded picture, which the server has accepted.
        grid: weights of its parts, row by row; None if the model did not read it.
        fit: how the model makes it square, ``pad`` or ``squash``.
    """
    picture = open_picture(image, _LIMITS)
    square = (
        picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        if fit == "squash"
        else ImageOps.pad(picture, (SIDE, SIDE), method=Image.Resampling.BICUBIC, color="white")
    )
    return Overlay(_data_uri(square, "JPEG"), None if grid is None else _data_uri(heat_map(grid), "PNG"))


def thumbnail_uri(image: bytes) -> str:
    """A small JPEG of an encoded picture, as a data URI.

    Raises:
        ProductError: the picture cannot be decoded.
    """
    return _small_uri(image, _LIMITS, side=THUMBNAIL)


def large_uri(image: bytes) -> str:
    """A JPEG of an encoded picture for a close look, as a data URI.

    Raises:
        ProductError: the picture cannot be decoded.
    """
    return _small_uri(image, _LARGE, side=LARGE)


def _small_uri(image: bytes, limits: ProductSettings, *, side: int) -> str:
    picture = open_picture(image, limits)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _data_uri(picture, "JPEG")


def heat_map(grid: Sequence[Sequence[float]]) -> Image.Image:
    """Weights as an RGBA picture: the colour shows the sign, the opacity the size relative to the largest weight."""
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
