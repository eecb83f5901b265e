"""Damage to pictures, as by cameras, re-encoding and stickers.

The functions take an RGB picture and return one of the same size. Strengths are relative to the picture's size,
brightness range or area, so that a strength means the same for a thumbnail and for a photograph.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

PictureDamage = Callable[[Image.Image, np.random.Generator], Image.Image]
GREY = (127, 127, 127)


def blur(picture: Image.Image, radius: float) -> Image.Image:
    """Gaussian blur.

    Args:
        picture: RGB.
        radius: standard deviation, as a share of the longer edge.
    """
    return picture.filter(ImageFilter.GaussianBlur(radius * max(picture.size)))


def add_noise(picture: Image.Image, deviation: float, random: np.random.Generator) -> Image.Image:
    """Add Gaussian noise to every channel of every pixel.

    Args:
        picture: RGB.
        deviation: standard deviation, as a share of the range from black to white.
    """
    pixels = np.asarray(picture)
    noise = random.standard_normal(pixels.shape, dtype=np.float32) * np.float32(255 * deviation)
    return Image.fromarray((pixels + noise).round().clip(0, 255).astype(np.uint8))


def compress(picture: Image.Image, quality: int) -> Image.Image:
    """Encode as JPEG and decode again.

    Args:
        picture: RGB.
        quality: quality of libjpeg, 1 to 95.
    """
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def occlude(picture: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """Cover part of the picture with a grey rectangle of the same proportions (cutout; DeVries & Taylor 2017).

    Args:
        picture: RGB.
        share: share of the area to cover, 0 to 1.
    """
    width, height = (round(length * share**0.5) for length in picture.size)
    left = int(random.integers(picture.width - width + 1))
    top = int(random.integers(picture.height - height + 1))
    covered = picture.copy()
    covered.paste(GREY, (left, top, left + width, top + height))
    return covered


def damage_for_training(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cover 10 to 60 % of a picture, or compress it to a quality of 5 to 30.

    The fusions learn from such pictures how far to trust a picture. They need no other kinds for that: they read the
    picture model's certainty, and evaluation also measures blur and noise.
    """
    if random.random() < 0.7:
        return occlude(picture, random.uniform(0.1, 0.6), random)
    return compress(picture, int(random.integers(5, 31)))
