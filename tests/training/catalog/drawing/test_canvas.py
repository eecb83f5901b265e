"""The canvas: placement of points, patterns inside their outline, light and shadow."""

import numpy as np
import pytest

from training.catalog.drawing.canvas import (
    Canvas,
    Colour,
    Placement,
    Points,
    curve,
    flipped,
    mirrored,
    moved,
    photograph,
    tint,
)

RED: Colour = (200, 30, 30)
BLUE: Colour = (30, 30, 200)


def covered(canvas: Canvas, colour: Colour) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom) of a colour, as shares of the picture."""
    pixels = np.asarray(canvas.layer)
    rows, columns = np.nonzero((pixels[..., :3] == colour).all(axis=2) & (pixels[..., 3] == 255))
    height, width = pixels.shape[:2]
    return columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height


def test_tints_move_towards_white_and_black() -> None:
    assert tint((100, 100, 200), 0.5) == (178, 178, 228)
    assert tint((100, 100, 200), -0.5) == (50, 50, 100)
    assert tint(RED, 0.0) == RED
    assert (tint(RED, 1.0), tint(RED, -1.0)) == ((255, 255, 255), (0, 0, 0))


def test_outlines_are_flipped_mirrored_and_moved() -> None:
    half = [(0.0, -1.0), (0.5, 1.0)]
    assert flipped(half) == [(-0.0, -1.0), (-0.5, 1.0)]
    assert mirrored(half) == [(0.0, -1.0), (0.5, 1.0), (-0.5, 1.0), (-0.0, -1.0)]
    assert moved(half, (1.0, 2.0)) == [(1.0, 1.0), (1.5, 3.0)]


@pytest.mark.parametrize(("closed", "points"), [(True, 40), (False, 31)])
def test_curves_run_through_the_points_they_are_given(closed: bool, points: int) -> None:
    known = [(0.0, 0.0), (1.0, 0.5), (0.5, 1.0), (-0.5, 0.5)]
    line = curve(known, closed=closed)
    assert len(line) == points
    assert np.allclose(line[::10][:4], known)
    # Points of a straight line stay on it.
    straight = curve([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)], closed=False)
    assert np.allclose([x for x, _ in straight], [y for _, y in straight])


@pytest.mark.parametrize(
    ("placement", "box"),
    [
        (Placement(size=0.4), (0.1, 0.3, 0.9, 0.7)),
        (Placement(size=0.4, turn=90), (0.1, 0.3, 0.9, 0.7)),
        (Placement(size=0.2, shift=(0.1, -0.1)), (0.4, 0.3, 0.8, 0.5)),
        (Placement(size=0.2, stretch=4.0), (0.1, 0.45, 0.9, 0.55)),
    ],
)
def test_the_placement_scales_turns_moves_and_stretches(
    placement: Placement, box: tuple[float, float, float, float]
) -> None:
    canvas = Canvas(100, 200, placement)
    canvas.polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)], RED)
    assert covered(canvas, RED) == pytest.approx(box, abs=0.02)


def test_a_mirrored_product_is_seen_from_the_other_side() -> None:
    right: Points = [(0.5, -0.5), (1.0, -0.5), (1.0, 0.5), (0.5, 0.5)]
    for mirror, left_edge in ((False, 0.7), (True, 0.1)):
        canvas = Canvas(100, 100, Placement(size=0.4, mirror=mirror))
        canvas.polygon(right, RED)
        assert covered(canvas, RED)[0] == pytest.approx(left_edge, abs=0.02)


def test_a_pattern_stays_inside_its_outline() -> None:
    canvas = Canvas(100, 100, Placement(size=0.5))
    outline = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    canvas.polygon(outline, RED)
    canvas.pattern(outline, [[(x, -2.0), (x, 2.0)] for x in (-0.7, -0.2, 0.2, 0.7)], BLUE, width=0.1)
    left, top, right, bottom = covered(canvas, BLUE)
    assert (left, right) == pytest.approx((0.375, 0.625), abs=0.02)
    assert (top, bottom) == pytest.approx((0.25, 0.75), abs=0.02)


def test_the_photograph_is_lit_from_one_side_and_casts_a_shadow_on_the_other() -> None:
    canvas = Canvas(100, 80, Placement(size=0.25))
    canvas.ellipse((0.0, 0.0), (1.0, 1.0), (120, 120, 120))
    rng = np.random.default_rng(0)
    picture = photograph(canvas, backdrop=(240, 240, 240), light=(-1.0, 0.0), grain=0.0, rng=rng)
    assert (picture.mode, picture.size) == ("RGB", (100, 80))
    line = np.asarray(picture)[40, :, 0].astype(int)
    assert line[33] > line[66] + 20, "the side that faces the light is brighter"
    assert line[26] > line[73] + 10, "the shadow falls on the other side"


def test_the_grain_is_noise_of_the_strength_asked_for() -> None:
    empty = Canvas(100, 80, Placement())
    pictures = [
        photograph(empty, backdrop=(128, 128, 128), light=(0.0, -1.0), grain=grain, rng=np.random.default_rng(1))
        for grain in (0.0, 4.0)
    ]
    difference = np.asarray(pictures[1], dtype=float) - np.asarray(pictures[0], dtype=float)
    assert difference.std() == pytest.approx(4.0, abs=0.3)
