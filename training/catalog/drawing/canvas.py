"""A small vector canvas that draws one product and renders it like a shop's photograph: light, shadow, grain.

Shapes are given in product units: x to the right and y down, both in -1..1. The canvas scales, turns and mirrors the
points and draws at ``SUPERSAMPLING`` times the picture's size; reducing the picture smooths every edge.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SUPERSAMPLING = 3
Colour = tuple[int, int, int]
Point = tuple[float, float]
Points = Sequence[Point]
Floats = NDArray[np.float32]


def tint(colour: Colour, factor: float) -> Colour:
    """Mix ``colour`` with white (factor > 0) or black (factor < 0); ``abs(factor)`` is the share of white or black."""
    goal = 255 if factor > 0 else 0
    red, green, blue = (round(value + (goal - value) * abs(factor)) for value in colour)
    return red, green, blue


def curve(points: Points, *, closed: bool = True, steps: int = 10) -> list[Point]:
    """A smooth line through ``points`` (Catmull and Rom 1974), with ``steps`` points for each given point."""
    known = np.asarray(points, dtype=np.float64)
    padded = np.vstack([known[-1:], known, known[:2]] if closed else [known[:1], known, known[-1:]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    bent = start + 0.5 * t * (
        (end - before) + t * (2 * before - 5 * start + 4 * end - after + t * (3 * start - before - 3 * end + after))
    )
    line = bent.transpose(1, 0, 2).reshape(-1, 2)
    return [(float(x), float(y)) for x, y in (line if closed else np.vstack([line, known[-1:]]))]


def flipped(points: Points) -> list[Point]:
    """The mirror image of ``points``, left for right."""
    return [(-x, y) for x, y in points]


def mirrored(points: Points) -> list[Point]:
    """A closed outline: ``points`` are its right half from top to bottom, the left half is their mirror image."""
    return [*points, *flipped(points)[::-1]]


def moved(points: Points, by: Point) -> list[Point]:
    """``points``, moved right and down."""
    return [(x + by[0], y + by[1]) for x, y in points]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Position and size of a product in its picture.

    Args:
        size: half the product's extent as a share of the picture's shorter side.
        stretch: width divided by height of a product unit.
        turn: rotation in degrees, clockwise.
        shift: offset of the centre as shares of the picture's width and height.
        mirror: flip left and right.
    """

    size: float = 0.42
    stretch: float = 1.0
    turn: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirror: bool = False


class Canvas:
    """A transparent layer that shapes are drawn on.

    Args:
        width, height: of the finished picture, in pixels.
    """

    def __init__(self, width: int, height: int, placement: Placement) -> None:
        self.size = width * SUPERSAMPLING, height * SUPERSAMPLING
        self.layer = Image.new("RGBA", self.size)
        self._draw = ImageDraw.Draw(self.layer)
        self._unit = placement.size * min(self.size)
        turn = np.deg2rad(placement.turn)
        rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        stretch = np.diag([placement.stretch**0.5 * (-1 if placement.mirror else 1), placement.stretch**-0.5])
        self._matrix = self._unit * rotate @ stretch
        self._centre = np.array(self.size) * (0.5 + np.array(placement.shift))

    def polygon(self, points: Points, fill: Colour, *, seam: Colour | None = None) -> None:
        """A filled outline, with a thin line of colour ``seam`` around it if given."""
        placed = self._place(points)
        self._draw.polygon(placed, fill=fill)
        if seam is not None:
            self._draw.line([*placed, placed[0]], fill=seam, width=round(0.016 * self._unit), joint="curve")

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], fill: Colour) -> None:
        """A filled ellipse whose axes turn with the product."""
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        outline = np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=1)
        self.polygon([(float(x), float(y)) for x, y in outline], fill)

    def line(self, points: Points, fill: Colour, *, width: float = 0.02) -> None:
        """A line of ``width`` product units."""
        self._draw.line(self._place(points), fill=fill, width=max(1, round(width * self._unit)), joint="curve")

    def pattern(self, points: Points, lines: Sequence[Points], fill: Colour, *, width: float) -> None:
        """Lines that are drawn only inside the outline ``points``: stripes, checks, stitches."""
        inside, drawn = Image.new("1", self.size), Image.new("1", self.size)
        ImageDraw.Draw(inside).polygon(self._place(points), fill=1)
        pen = ImageDraw.Draw(drawn)
        for each in lines:
            pen.line(self._place(each), fill=1, width=max(1, round(width * self._unit)))
        self.layer.paste(fill, mask=ImageChops.logical_and(inside, drawn))

    def _place(self, points: Points) -> list[Point]:
        placed = np.asarray(points, dtype=np.float64) @ self._matrix.T + self._centre
        return [(float(x), float(y)) for x, y in placed]


def photograph(
    canvas: Canvas, *, backdrop: Colour, light: tuple[float, float], grain: float, rng: np.random.Generator
) -> Image.Image:
    """Render the RGB picture: the product in directed light on a backdrop, with a soft shadow and grain.

    Args:
        backdrop: colour behind the product.
        light: direction from which the light comes, (right, down), about a unit vector.
        grain: standard deviation of the noise, in grey levels.
        rng: draws folds and grain.
    """
    layer = canvas.layer.reduce(SUPERSAMPLING)
    pixels = np.asarray(layer, dtype=np.float32)
    alpha = pixels[..., 3:] / 255
    lit = pixels[..., :3] * (_relief(layer.getchannel("A"), light) * _folds(layer.size, rng))[..., None]
    behind = _backdrop(layer.size, backdrop, light) * _shadow(layer.getchannel("A"), light)[..., None]
    picture = lit * alpha + behind * (1 - alpha)
    picture += rng.standard_normal(picture.shape[:2], dtype=np.float32)[..., None] * grain
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _relief(alpha: Image.Image, light: tuple[float, float]) -> Floats:
    """Brightness (H, W) of the product as a rounded relief: bright where it faces the light."""
    side = min(alpha.size)
    height = np.zeros(alpha.size[::-1], dtype=np.float32)
    for radius in (side / 70, side / 20):
        height += np.asarray(alpha.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255 * radius
    down, right = np.gradient(height)
    brightness: Floats = np.clip(0.98 - 0.3 * (right * light[0] + down * light[1]), 0.6, 1.25).astype(np.float32)
    return brightness


def _folds(size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Brightness (H, W) with slow variations of some percent, as on cloth and leather."""
    coarse = Image.fromarray(rng.normal(1.0, 0.07, (5, 5)).astype(np.float32))
    folds: Floats = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    return folds


def _shadow(alpha: Image.Image, light: tuple[float, float]) -> Floats:
    """Brightness (H, W) of the backdrop: a soft shadow away from the light."""
    side = min(alpha.size)
    shift = (round(light[0] * side / 32), round(light[1] * side / 32))
    moved = Image.new("L", alpha.size)
    moved.paste(alpha, (-shift[0], -shift[1]))
    soft: Floats = np.asarray(moved.filter(ImageFilter.GaussianBlur(side / 32)), dtype=np.float32)
    return 1 - np.float32(0.32 / 255) * soft


def _backdrop(size: tuple[int, int], colour: Colour, light: tuple[float, float]) -> Floats:
    """Colours (H, W, 3) of the backdrop, slightly brighter towards the light."""
    x = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    glow = 1 + 0.025 * (x * light[0] + y * light[1])
    return (np.asarray(colour, dtype=np.float32) * glow[..., None]).astype(np.float32)
