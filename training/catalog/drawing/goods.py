"""Shoes, bags, watches and glasses of the built-in catalogue: one function for each category, and a shared box.

Every function draws in product units. The generator varies the shape; colour and pattern set the surface.
"""

import numpy as np

from training.catalog.drawing.canvas import Canvas, Colour, curve, flipped, mirrored, tint
from training.catalog.drawing.clothes import fabric

METALS: tuple[Colour, ...] = ((176, 180, 188), (206, 168, 92), (70, 72, 78))
CARDBOARDS: tuple[Colour, ...] = ((196, 164, 124), (232, 226, 214), (88, 84, 86))
RUBBER: Colour = (238, 236, 230)
LENSES = (
    ((0.42, -0.26), (0.68, -0.2), (0.78, 0.03), (0.68, 0.26), (0.42, 0.32), (0.18, 0.24), (0.1, 0.02), (0.18, -0.2)),
    ((0.14, -0.24), (0.45, -0.28), (0.78, -0.24), (0.76, 0.12), (0.62, 0.25), (0.3, 0.26), (0.16, 0.12)),
    ((0.12, -0.22), (0.4, -0.28), (0.76, -0.2), (0.78, 0.02), (0.6, 0.32), (0.36, 0.38), (0.16, 0.14)),
)


def shoe(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A laced shoe from the side, low or ankle high, on a white or a dark sole."""
    top, dark, light = rng.choice([-0.3, -0.58]), tint(colour, -0.3), tint(colour, 0.25)
    sole = RUBBER if rng.random() < 0.6 else tint(colour, -0.55)
    ankle = [(-0.9, 0.2), (-0.92, top + 0.1), (-0.78, top), (-0.5, top + 0.06), (-0.22, top + 0.04)]
    front = [(0.12, -0.06), (0.55, 0.02), (0.9, 0.18), (0.94, 0.34), (0.0, 0.4), (-0.88, 0.38)]
    fabric(canvas, curve([*ankle, *front]), colour, pattern, step=0.12)
    canvas.polygon(curve([(-0.9, 0.1), (-0.88, -0.1), (-0.66, 0.0), (-0.6, 0.36), (-0.88, 0.36)]), dark)
    canvas.polygon(curve([(0.5, 0.04), (0.86, 0.16), (0.94, 0.34), (0.5, 0.38), (0.42, 0.2)]), light)
    opening = [(-0.74, top + 0.03), (-0.5, top + 0.09), (-0.26, top + 0.07), (-0.5, top + 0.16)]
    canvas.polygon(curve(opening), tint(colour, -0.6))
    for i in range(4):
        x, y = -0.2 + i * 0.13, top * (1 - i / 4) + 0.06 + i * 0.02
        canvas.line([(x - 0.08, y + 0.16), (x + 0.07, y + 0.01)], RUBBER if sum(colour) < 560 else dark, width=0.04)
    canvas.line(curve([(-0.5, 0.3), (-0.1, 0.1), (0.3, 0.22)], closed=False), light, width=0.06)
    heel = 0.5 if sole == RUBBER else 0.57
    ground = [(0.99, 0.4), (0.94, 0.5), (-0.2, 0.5), (-0.34, heel), (-0.93, heel)]
    canvas.polygon([(-0.93, 0.32), (0.95, 0.32), *ground], sole, seam=tint(sole, -0.2))


def handbag(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A handbag with two arched handles and a clasp."""
    dark, metal = tint(colour, -0.3), METALS[rng.integers(2)]
    high, wide = rng.uniform(0.62, 0.84), rng.uniform(0.6, 0.74)
    for lift, shade in ((-0.06, -0.4), (0.04, -0.15)):
        arch = mirrored([(0.0, -high - 0.1 + lift), (0.36, -high + lift), (0.4, -0.1)])
        canvas.line(curve([*arch[3:], *arch[1:3]], closed=False), tint(colour, shade), width=0.075)
    body = mirrored([(0.0, -0.2), (wide, -0.2), (0.85, 0.62), (0.78, 0.74), (0.0, 0.76)])
    fabric(canvas, body, colour, pattern, step=0.2)
    flap = mirrored([(0.0, -0.22), (wide + 0.01, -0.22), (wide, 0.05), (0.0, 0.2)])
    canvas.polygon(flap, tint(colour, -0.12), seam=dark)
    for side in (1, -1):
        canvas.ellipse((side * 0.4, -0.1), (0.05, 0.05), metal)
        canvas.line([(side * 0.7, 0.1), (side * 0.77, 0.66)], dark, width=0.016)
    canvas.polygon(mirrored([(0.09, 0.08), (0.09, 0.28)]), metal, seam=tint(metal, -0.3))
    canvas.ellipse((0, 0.2), (0.03, 0.03), tint(metal, -0.5))


def backpack(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A backpack from the front: a rounded body, shoulder straps, a handle, zips and a front pocket."""
    dark, trim, wide = tint(colour, -0.32), tint(colour, -0.5), rng.uniform(0.54, 0.66)
    canvas.line(curve([(-0.14, -0.8), (-0.1, -0.98), (0.1, -0.98), (0.14, -0.8)], closed=False), trim, width=0.07)
    strap = curve([(0.3, -0.78), (wide + 0.18, -0.45), (wide + 0.2, 0.3), (wide, 0.72)], closed=False)
    for outline in (strap, flipped(strap)):
        canvas.line(outline, trim, width=0.1)
    body = [(0.2, -0.88), (wide - 0.1, -0.72), (wide, -0.3), (wide + 0.04, 0.55), (wide - 0.08, 0.86), (0.2, 0.9)]
    fabric(canvas, curve(mirrored(body)), colour, pattern, step=0.2)
    zipper = [(-wide + 0.06, -0.18), (-wide + 0.16, -0.58), (0, -0.74), (wide - 0.16, -0.58), (wide - 0.06, -0.18)]
    canvas.line(curve(zipper, closed=False), dark, width=0.03)
    pocket = [(0.2, 0.02), (wide - 0.14, 0.08), (wide - 0.1, 0.4), (wide - 0.16, 0.72), (0.2, 0.76)]
    canvas.polygon(curve(mirrored(pocket)), tint(colour, -0.12 if rng.random() < 0.6 else 0.25), seam=dark)
    canvas.line([(-wide + 0.2, 0.2), (wide - 0.2, 0.2)], trim, width=0.035)
    canvas.polygon([(0.06, 0.2), (0.11, 0.2), (0.1, 0.34), (0.07, 0.34)], METALS[0])
    canvas.polygon(mirrored([(0.13, -0.42), (0.13, -0.24)]), tint(colour, 0.5), seam=dark)


def watch(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A wristwatch from the front: a strap in the product's colour, a round or a square case."""
    metal = METALS[rng.integers(3)]
    dial: Colour = (246, 244, 238) if rng.random() < 0.6 else (38, 42, 52)
    for side in (1, -1):
        strap = [(-0.26, side * 0.3), (0.26, side * 0.3), (0.2, side * 0.97), (-0.2, side * 0.97)]
        fabric(canvas, strap, colour, pattern, step=0.11)
        for x in (-0.17, 0.17):
            canvas.line([(x * 1.25, side * 0.4), (x * 0.92, side * 0.92)], tint(colour, 0.35), width=0.014)
    for y in (0.64, 0.76, 0.88):
        canvas.ellipse((0, y), (0.022, 0.022), tint(colour, -0.3))
    canvas.polygon([(0.4, -0.07), (0.54, -0.05), (0.54, 0.05), (0.4, 0.07)], tint(metal, -0.15))
    is_round = rng.random() < 0.7
    for half, fill in ((0.46, tint(metal, -0.25)), (0.43, metal), (0.35, dial)):
        if is_round:
            canvas.ellipse((0, 0), (half, half), fill)
        else:
            corner = [(half * x, half * y) for x, y in ((0.75, -0.9), (0.9, -0.75), (0.9, 0.75), (0.75, 0.9))]
            canvas.polygon(mirrored(corner), fill)
    _clock_face(canvas, tint(dial, -0.8) if dial[0] > 128 else tint(dial, 0.85), rng)


def _clock_face(canvas: Canvas, ink: Colour, rng: np.random.Generator) -> None:
    for hour in range(12):
        x, y = np.sin(hour * np.pi / 6), -np.cos(hour * np.pi / 6)
        canvas.line([(0.26 * x, 0.26 * y), (0.3 * x, 0.3 * y)], ink, width=0.03 if hour % 3 == 0 else 0.016)
    for length, width in ((0.15, 0.03), (0.23, 0.02)):
        angle = rng.uniform(0, 2 * np.pi)
        canvas.line([(0, 0), (length * np.sin(angle), -length * np.cos(angle))], ink, width=width)
    canvas.ellipse((0, 0), (0.025, 0.025), (196, 60, 52))


def sunglasses(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """Sunglasses from the front: round, square or drop-shaped lenses in a frame of the product's colour."""
    del pattern
    glass = tint(((52, 56, 66), (96, 62, 40), (44, 78, 70))[rng.integers(3)], rng.uniform(0, 0.25))
    lens, rim_width = curve(LENSES[rng.integers(len(LENSES))]), rng.choice([0.045, 0.08])
    temple = [(0.74, -0.2), (0.9, -0.2), (0.93, -0.13), (0.88, -0.02)]
    for outline in (temple, flipped(temple)):
        canvas.line(outline, tint(colour, -0.2), width=0.055)
    canvas.line(curve([(-0.16, -0.1), (0.0, -0.17), (0.16, -0.1)], closed=False), colour, width=0.07)
    if rng.random() < 0.4:
        canvas.line([(-0.2, -0.27), (0.2, -0.27)], colour, width=0.04)
    for rim in (lens, flipped(lens)):
        middle = float(np.mean([x for x, _ in rim]))
        canvas.polygon(rim, glass)
        canvas.pattern(rim, [[(-1, 0.24), (1, 0.24)]], tint(glass, 0.3), width=0.3)
        canvas.pattern(rim, [[(middle - 0.2, 0.3), (middle + 0.06, -0.3)]], tint(glass, 0.45), width=0.06)
        canvas.line([*rim, rim[0], rim[1]], colour, width=rim_width)


def box(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A closed cardboard box with a band in the product's colour; boxed categories share it."""
    del pattern
    card = tint(CARDBOARDS[rng.integers(len(CARDBOARDS))], rng.uniform(-0.1, 0.15))
    high = rng.uniform(0.3, 0.55)
    left, near, right, far = (-0.85, -high * 0.4), (0.35, -high * 0.2), (0.9, -high * 0.7), (-0.25, -high * 0.9)
    front = [left, near, (0.35, high * 1.5), (-0.85, high * 1.2)]
    side = [near, right, (0.9, high * 0.85), (0.35, high * 1.5)]
    for face, shade in ((front, 0.0), (side, -0.18), ([left, near, right, far], 0.14)):
        canvas.polygon(face, tint(card, shade), seam=tint(card, -0.3))
    start, end = (-0.4, -high * 0.325), (-0.1, -high * 0.275)
    canvas.polygon([start, end, (-0.1, high * 1.39), (-0.4, high * 1.31)], colour)
    canvas.polygon([start, end, (0.49, -high * 0.77), (0.22, -high * 0.82)], tint(colour, 0.15))
    canvas.line([(-0.85, -high * 0.12), (0.35, high * 0.1), (0.9, -high * 0.42)], tint(card, -0.25), width=0.02)
