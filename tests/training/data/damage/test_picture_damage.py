"""Damage to pictures: the effect of each kind on known pixels."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from training.data.damage.pictures import GREY, add_noise, blur, compress, damage_for_training, occlude


def flat(colour: tuple[int, int, int] = (200, 100, 50), size: tuple[int, int] = (60, 80)) -> Image.Image:
    return Image.new("RGB", size, colour)


def halves(side: int) -> Image.Image:
    """Black on the left, white on the right."""
    picture = Image.new("RGB", (side, side), "black")
    picture.paste("white", (side // 2, 0, side, side))
    return picture


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_occlusion_covers_its_share_in_one_rectangle(share: float) -> None:
    for seed in range(10):
        covered = (np.asarray(occlude(flat(), share, np.random.default_rng(seed))) == GREY).all(2)
        assert covered.mean() == pytest.approx(share, abs=0.02)
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        assert covered[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert len(columns) / len(rows) == pytest.approx(60 / 80, abs=0.03)


def test_occlusion_reaches_every_corner_and_the_whole() -> None:
    small = flat(size=(6, 8))  # 4 * 5 places
    covered = [(np.asarray(occlude(small, 0.25, np.random.default_rng(seed))) == GREY).all(2) for seed in range(300)]
    assert np.any(covered, axis=0).all()
    assert np.all(np.asarray(occlude(flat(), 1.0, np.random.default_rng(0))) == GREY)


def test_noise_has_the_deviation_asked_for() -> None:
    noisy = np.asarray(add_noise(flat((127, 127, 127), (200, 200)), 0.1, np.random.default_rng(0)))
    assert noisy.mean() == pytest.approx(127, abs=0.3)
    assert noisy.std() == pytest.approx(25.5, abs=0.3)
    assert noisy[..., 0].tolist() != noisy[..., 1].tolist()


def test_noise_does_not_wrap_around() -> None:
    white = np.asarray(add_noise(flat((255, 255, 255)), 0.1, np.random.default_rng(0)))
    assert white.min() > 100 and (white == 255).mean() == pytest.approx(0.5, abs=0.05)


def test_blur_means_the_same_for_every_size() -> None:
    assert np.asarray(blur(flat(), 0.02)).tolist() == np.asarray(flat()).tolist()
    at_edge = []
    for side in (100, 400):
        line = np.asarray(blur(halves(side), 0.02))[side // 2, :, 0] / 255
        # A standard deviation from the edge, a Gaussian has let through 16 % of the light.
        place = round(side * 0.48)
        at_edge.append(line[place - 1 : place + 1].mean())
    assert at_edge == pytest.approx([0.16, 0.16], abs=0.02)


def test_compression_is_that_of_a_jpeg() -> None:
    picture = halves(64)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=10)
    with Image.open(buffer) as expected:
        assert np.asarray(compress(picture, 10)).tolist() == np.asarray(expected).tolist()


def test_lower_quality_is_further_from_the_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    apart = [np.abs(np.asarray(compress(picture, quality)).astype(int) - noise).mean() for quality in (90, 30, 10)]
    assert apart == sorted(apart)


@pytest.mark.parametrize(
    "damage",
    [
        lambda picture: blur(picture, 0.02),
        lambda picture: add_noise(picture, 0.1, np.random.default_rng(0)),
        lambda picture: compress(picture, 10),
        lambda picture: occlude(picture, 0.5, np.random.default_rng(0)),
    ],
    ids=["blur", "noise", "compress", "occlude"],
)
@pytest.mark.parametrize("size", [(1, 1), (2, 40), (53, 80)], ids=str)
def test_size_and_mode_stay_and_the_original_is_untouched(
    damage: Callable[[Image.Image], Image.Image], size: tuple[int, int]
) -> None:
    picture = flat(size=size)
    damaged = damage(picture)
    assert (damaged.size, damaged.mode) == (size, "RGB")
    assert np.asarray(picture).tolist() == np.asarray(flat(size=size)).tolist()


def test_pictures_for_training_are_covered_or_compressed() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8))
    covered = []
    for seed in range(200):
        changed = damage_for_training(picture, np.random.default_rng(seed))
        assert changed.size == picture.size and changed.mode == "RGB"
        covered.append(float((np.asarray(changed) == GREY).all(axis=2).mean()))
    hidden = [share for share in covered if share > 0.05]
    assert 0.6 < len(hidden) / len(covered) < 0.8 and min(hidden) > 0.08 and max(hidden) < 0.62
