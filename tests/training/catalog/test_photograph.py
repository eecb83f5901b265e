"""A shop's own photographs: read beyond the limits of requests, scaled down while decoded, refused beyond memory."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from pictures import BLUE, GREEN, GREY, RED, blank_png, draw, encode
from PIL import Image, ImageOps

from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.pictures.photograph import SHRUNK_SIDE, open_photograph, shrunk

SETTINGS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),))
CAMERA = (8192, 5464)  # 45 megapixels


def camera_picture(**options: object) -> bytes:
    return encode(draw(*CAMERA), "JPEG", quality=90, **options)


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_photograph_of_45_megapixels_is_read(options: dict[str, object]) -> None:
    image = camera_picture(**options)
    with pytest.raises(ProductError) as refused:
        open_picture(image, SETTINGS)
    assert refused.value.type == "image_too_large", "the limit of requests stays"
    picture = open_photograph(image, SETTINGS)
    assert picture.size == (1024, 683)
    colours = np.asarray(picture.resize((4, 4), Image.Resampling.BOX))[[0, 0, 3, 3], [0, 3, 0, 3]]
    np.testing.assert_allclose(colours, [RED, GREEN, BLUE, GREY], atol=4)


def test_a_photograph_takes_no_memory_for_its_pixels() -> None:
    image = camera_picture()
    open_photograph(image, SETTINGS)  # imports
    tracemalloc.start()
    open_photograph(image, SETTINGS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(image) + 10_000_000  # its pixels would be 134 MB


def test_a_long_file_is_read() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2400, 3000, 3), dtype=np.uint8)
    image = encode(Image.fromarray(noise), "JPEG", quality=98)
    assert len(image) > SETTINGS.max_image_bytes
    assert max(open_photograph(image, SETTINGS).size) <= 1500
    assert len(shrunk(image, SETTINGS)) < SETTINGS.max_image_bytes


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (blank_png(9000, 9000), "image_too_large"),
        (encode(draw(), "JPEG") + bytes(64_000_000), "image_too_large"),
        (b"GIF89a" + bytes(7_000_000), "unsupported_image"),
        (camera_picture()[:50_000], "image_too_large"),
    ],
    ids=["a PNG beyond memory", "beyond the bytes", "no picture", "cut off"],
)
def test_what_cannot_be_read_is_refused(image: bytes, kind: str) -> None:
    with pytest.raises(ProductError) as refused:
        open_photograph(image, SETTINGS)
    assert refused.value.type in (kind, "image_corrupt")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_within_the_limits_is_sent_as_it_is(kind: str) -> None:
    image = encode(draw(600, 800), kind)
    assert shrunk(image, SETTINGS) is image


def test_a_shrunk_picture_is_within_the_limits_and_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sent = shrunk(camera_picture(exif=exif), SETTINGS)
    picture = open_picture(sent, dataclasses.replace(SETTINGS, image_size=2048))
    assert max(picture.size) == SHRUNK_SIDE and picture.size[0] < picture.size[1]
    assert len(sent) < 1_000_000


@pytest.mark.parametrize("size", [(1080, 1440), (1440, 1080), (4000, 3000), (300, 400), (600, 6000)])
@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_scaling_while_decoding_leaves_more_pixels_than_the_model_reads(size: tuple[int, int], fit: str) -> None:
    settings = dataclasses.replace(SETTINGS, image_fit=fit)
    picture = open_picture(encode(draw(*size), "JPEG"), settings)
    share = min(size) / max(size) if fit == "pad" else 1
    assert max(picture.size) >= min(max(size), 1.5 * 224)
    assert min(picture.size) >= min(*size, 224 * share)


def fitted(picture: Image.Image) -> Image.Image:
    return ImageOps.pad(picture, (224, 224), method=Image.Resampling.BICUBIC, color="white")


def test_scaling_while_decoding_changes_hardly_a_pixel() -> None:
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (36, 27, 3), dtype=np.uint8))
    photo = coarse.resize((1080, 1440), Image.Resampling.BICUBIC)
    exact = fitted(photo)
    decoded = fitted(open_picture(encode(photo, "JPEG", quality=95), SETTINGS))
    difference = np.abs(np.asarray(exact).astype(int) - np.asarray(decoded).astype(int))
    assert difference.mean() < 2
