"""Clothes of the built-in catalogue: one function for each category, and the close-up of cloth that they share.

Every function draws in product units. The generator varies the shape; colour and pattern set the cloth.
"""

import numpy as np

from training.catalog.drawing.canvas import Canvas, Colour, Points, curve, flipped, mirrored, moved, tint


def fabric(canvas: Canvas, points: Points, colour: Colour, pattern: str, *, step: float = 0.16) -> None:
    """Fill an outline with cloth: solid, striped or checked, ``step`` product units from line to line."""
    canvas.polygon(points, colour)
    _weave(canvas, points, colour, pattern, step=step, width=0.03)
    canvas.line([*points, points[0]], tint(colour, -0.35), width=0.014)


def shirt(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A buttoned shirt from the front, with long or short sleeves."""
    dark, hem, cuff = tint(colour, -0.22), rng.uniform(0.78, 0.92), rng.choice([-0.08, 0.62])
    wide = 0.96 if cuff < 0 else 0.9
    sleeve = [(0.34, -0.8), (0.56, -0.66), (wide, cuff), (wide - 0.24, cuff + 0.08), (0.44, -0.28)]
    for outline in (sleeve, flipped(sleeve)):
        fabric(canvas, outline, tint(colour, -0.08), pattern)
        canvas.line(outline[2:4], dark, width=0.07)
    body = mirrored([(0.14, -0.86), (0.4, -0.78), (0.5, -0.5), (0.47, 0.2), (0.5, hem), (0.0, hem + 0.07)])
    fabric(canvas, body, colour, pattern)
    canvas.polygon(mirrored([(0.05, -0.72), (0.05, hem + 0.06)]), tint(colour, 0.08), seam=dark)
    for y in np.arange(-0.56, hem - 0.05, 0.24):
        canvas.ellipse((0, y), (0.024, 0.024), tint(colour, 0.6))
    canvas.polygon([(-0.15, -0.9), (0.15, -0.9), (0, -0.66)], tint(colour, -0.5))
    collar = [(0.15, -0.95), (0.25, -0.78), (0.13, -0.6), (0.0, -0.72)]
    for outline in (collar, flipped(collar)):
        canvas.polygon(outline, tint(colour, 0.1), seam=dark)
    if rng.random() < 0.6:
        pocket = [(0.16, -0.38), (0.38, -0.38), (0.38, -0.16), (0.27, -0.11), (0.16, -0.16)]
        canvas.polygon(pocket, colour, seam=dark)


def trousers(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """Trousers from the front: straight, tapered or flared."""
    dark, inner = tint(colour, -0.28), rng.uniform(0.03, 0.1)
    knee, foot = inner + rng.uniform(0.3, 0.38), inner + rng.uniform(0.26, 0.46)
    leg = [(0.0, -0.9), (0.33, -0.9), (0.42, -0.45), (knee, 0.2), (foot, 0.95), (inner, 0.97), (0.0, -0.25)]
    pocket = curve([(0.36, -0.66), (0.26, -0.6), (0.22, -0.78)], closed=False)
    crease, cuff = [(0.22, -0.7), ((inner + foot) / 2, 0.92)], [(foot, 0.9), (inner, 0.92)]
    for turn in (list, flipped):
        fabric(canvas, turn(leg), colour, pattern)
        canvas.line(turn(crease), tint(colour, -0.12))
        canvas.line(turn(pocket), dark)
        canvas.line(turn(cuff), dark, width=0.03)
    canvas.polygon(mirrored([(0.34, -0.97), (0.35, -0.82)]), tint(colour, -0.1), seam=dark)
    for x in (-0.24, -0.1, 0.1, 0.24):
        canvas.line([(x, -0.98), (x, -0.8)], dark, width=0.035)
    canvas.line(curve([(0.0, -0.3), (0.1, -0.42), (0.1, -0.82)], closed=False), dark)
    canvas.ellipse((0, -0.895), (0.028, 0.028), tint(colour, 0.55))


def dress(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A dress from the front: straps or short sleeves, a belt, a skirt that widens."""
    hem, flare = rng.uniform(0.75, 0.97), rng.uniform(0.5, 0.78)
    if rng.random() < 0.5:
        top = [(0.0, -0.56), (0.14, -0.62), (0.26, -0.66), (0.32, -0.48)]
        for side in (1, -1):
            canvas.line([(side * 0.2, -0.6), (side * 0.17, -0.97)], tint(colour, -0.1), width=0.06)
    else:
        top = [(0.0, -0.74), (0.1, -0.8), (0.16, -0.95), (0.3, -0.9), (0.34, -0.5)]
        sleeve = [(0.22, -0.95), (0.42, -0.84), (0.52, -0.56), (0.32, -0.5)]
        for outline in (sleeve, flipped(sleeve)):
            fabric(canvas, outline, tint(colour, -0.08), pattern)
    skirt = [(0.25, -0.12), (0.4, 0.25), (flare, hem - 0.06), (flare * 0.5, hem), (0.0, hem + 0.02)]
    fabric(canvas, mirrored([*top, *skirt]), colour, pattern)
    for x in (-0.6, -0.25, 0.2, 0.55):
        fold = curve([(x * 0.35, 0.0), (x * 0.6, 0.4), (x * flare * 1.3, hem - 0.06)], closed=False)
        canvas.line(fold, tint(colour, -0.14), width=0.018)
    belt = tint(colour, -0.45) if rng.random() < 0.6 else tint(colour, 0.4)
    canvas.polygon(mirrored([(0.265, -0.17), (0.27, -0.06)]), belt)


def cap(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A cap with a peak, at an angle."""
    dark, high = tint(colour, -0.28), rng.uniform(0.58, 0.74)
    peak = tint(colour, -0.15) if rng.random() < 0.5 else tint(colour, 0.3)
    left = [(-0.86, 0.3), (-0.84, -0.1), (-0.6, -high * 0.8), (-0.15, -high)]
    right = [(0.28, -high * 0.75), (0.46, -0.05), (0.44, 0.26), (-0.2, 0.4)]
    fabric(canvas, curve([*left, *right]), colour, pattern)
    for middle, end in (((-0.3, -0.3), (-0.34, 0.36)), ((0.12, -0.4), (0.2, 0.34)), ((-0.62, -0.35), (-0.74, 0.3))):
        canvas.line(curve([(-0.15, -high), middle, end], closed=False), dark, width=0.016)
    canvas.ellipse((-0.15, -high), (0.06, 0.035), dark)
    edge = [(0.2, 0.14), (0.6, 0.08), (0.96, 0.3), (0.94, 0.42), (0.55, 0.44), (0.1, 0.44), (-0.3, 0.4), (-0.2, 0.28)]
    canvas.polygon(curve(edge), peak, seam=dark)
    canvas.line(curve([(0.2, 0.2), (0.58, 0.15), (0.88, 0.3)], closed=False), tint(peak, -0.2), width=0.014)
    for x, y in ((-0.55, -0.28), (-0.02, -0.42)):
        canvas.ellipse((x, y), (0.022, 0.022), dark)
    if rng.random() < 0.7:
        canvas.polygon([(-0.02, -0.26), (0.14, -0.28), (0.17, -0.06), (0.0, -0.04)], tint(colour, 0.6), seam=dark)


def socks(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A pair of socks, overlapping, with cuff, heel and toe in a second colour."""
    accent = tint(colour, 0.5) if sum(colour) < 480 else tint(colour, -0.4)
    top = rng.choice([-0.9, -0.55])
    foot = [(0.22, 0.1), (0.4, 0.42), (0.68, 0.62), (0.66, 0.84), (0.4, 0.9), (0.0, 0.78), (-0.22, 0.5), (-0.22, 0.1)]
    heel = [(-0.22, 0.34), (0.02, 0.42), (0.04, 0.76), (-0.18, 0.6)]
    toe = [(0.5, 0.5), (0.72, 0.68), (0.64, 0.86), (0.42, 0.9), (0.44, 0.66)]
    cuff = mirrored([(0.21, top - 0.04), (0.21, top + 0.16)])
    for by, shade in (((-0.28, 0.06), -0.14), ((0.1, 0.0), 0.0)):
        fabric(canvas, moved([(-0.2, top), (0.2, top), *foot], by), tint(colour, shade), pattern, step=0.14)
        for outline in (heel, toe):
            canvas.polygon(curve(moved(outline, by)), accent)
        canvas.polygon(moved(cuff, by), accent, seam=tint(colour, -0.28))
        for x in np.arange(-0.15, 0.2, 0.075):
            canvas.line(moved([(x, top - 0.02), (x, top + 0.14)], by), tint(accent, -0.18), width=0.014)


def swatch(canvas: Canvas, colour: Colour, pattern: str, rng: np.random.Generator) -> None:
    """A close-up of cloth that fills the picture; the categories of clothes share it."""
    reach = 3.0
    everywhere = mirrored([(reach, -reach), (reach, reach)])
    canvas.polygon(everywhere, colour)
    _weave(canvas, everywhere, colour, pattern, step=rng.uniform(0.4, 0.6), width=0.14)
    for at in np.arange(-reach, reach, 0.075):
        canvas.line([(-reach, at), (reach, at)], tint(colour, -0.12), width=0.012)
        canvas.line([(at, -reach), (at, reach)], tint(colour, 0.1), width=0.012)
    seam = rng.uniform(-0.5, 0.5)
    canvas.line([(-reach, seam), (reach, seam)], tint(colour, -0.35), width=0.05)
    for x in np.arange(-reach, reach, 0.14):
        canvas.line([(x, seam + 0.12), (x + 0.08, seam + 0.12)], tint(colour, 0.5), width=0.028)


def _weave(canvas: Canvas, points: Points, colour: Colour, pattern: str, *, step: float, width: float) -> None:
    contrast = tint(colour, 0.45 if sum(colour) < 480 else -0.3)
    places = np.arange(-3, 3, step)
    if pattern in ("Striped", "Checked"):
        canvas.pattern(points, [[(x, -3.0), (x, 3.0)] for x in places], contrast, width=width)
    if pattern == "Checked":
        canvas.pattern(points, [[(-3.0, y), (3.0, y)] for y in places], contrast, width=width)
