"""Pictures come out upright, in the right colours, on white; broken or hostile files are refused quickly."""

import dataclasses
import struct
import time
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from pictures import (
    BLUE,
    GREEN,
    GREY,
    PNG_START,
    RED,
    blank_png,
    chunk,
    deep_png,
    draw,
    encode,
    flip_bit,
    many_scans,
    png,
    turned,
)
from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import MAX_READS, MAX_SCANS, header_pixels, open_picture
from handlers.product_serving.settings import Attribute, ProductSettings

SETTINGS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("a",)),))


def colour(image: bytes) -> tuple[int, ...]:
    """The colour in the middle of a picture."""
    picture = open_picture(image, SETTINGS)
    assert picture.mode == "RGB"
    return tuple(np.asarray(picture)[picture.height // 2, picture.width // 2].tolist())


def refusal(image: bytes, settings: ProductSettings = SETTINGS) -> str:
    with pytest.raises(ProductError) as caught:
        open_picture(image, settings)
    return caught.value.type


def plain(mode: str, value: object, kind: str = "PNG", **options: object) -> bytes:
    return encode(Image.new(mode, (8, 8), value), kind, **options)  # type: ignore[arg-type]


def palette(transparency: bytes | int | None = None) -> bytes:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([*BLUE, *RED])
    options = {} if transparency is None else {"transparency": transparency}
    return encode(picture, "PNG", **options)


COLOURS = {
    "rgb png": (plain("RGB", RED), RED),
    "rgb webp": (plain("RGB", RED, "WEBP", lossless=True), RED),
    "grey png": (plain("L", 90), (90, 90, 90)),
    "grey jpeg": (plain("L", 90, "JPEG"), (90, 90, 90)),
    "one bit": (plain("1", 1), (255, 255, 255)),
    "one bit, transparent black": (encode(Image.new("1", (8, 8), 0), "PNG", transparency=0), (255, 255, 255)),
    "palette": (palette(), RED),
    "palette, the other colour transparent": (palette(0), RED),
    "palette, this colour transparent": (palette(1), (255, 255, 255)),
    "palette, half transparent": (palette(b"\xff\x80"), (227, 142, 142)),
    "rgba opaque": (plain("RGBA", (*RED, 255)), RED),
    "rgba transparent": (plain("RGBA", (*RED, 0)), (255, 255, 255)),
    "rgba half": (plain("RGBA", (*RED, 128)), (227, 142, 142)),
    "rgba webp half": (plain("RGBA", (*RED, 128), "WEBP", lossless=True), (227, 142, 142)),
    "grey and alpha half": (plain("LA", (0, 128)), (127, 127, 127)),
    "rgb with a transparent colour": (encode(Image.new("RGB", (8, 8), RED), "PNG", transparency=RED), (255, 255, 255)),
    "grey with a transparent grey": (encode(Image.new("L", (8, 8), 9), "PNG", transparency=9), (255, 255, 255)),
    "16-bit grey": (deep_png(np.full((8, 8), 0x5AFF, np.uint16), colour=0), (0x5A,) * 3),
    "16-bit white": (deep_png(np.full((8, 8), 0xFFFF, np.uint16), colour=0), (255, 255, 255)),
    "16-bit transparent grey": (
        deep_png(np.full((8, 8), 0x5AFF, np.uint16), colour=0, before=chunk(b"tRNS", b"\x5a\xff")),
        (255, 255, 255),
    ),
    "16-bit rgb": (deep_png(np.full((8, 8, 3), 0x5AFF, np.uint16), colour=2), (0x5A,) * 3),
    "16-bit grey and alpha": (deep_png(np.full((8, 8, 2), (0, 0x8080), np.uint16), colour=4), (127, 127, 127)),
    "16-bit rgba": (deep_png(np.full((8, 8, 4), (0, 0, 0, 0x8080), np.uint16), colour=6), (127, 127, 127)),
    "cmyk red": (plain("CMYK", (0, 255, 255, 0), "JPEG", quality=95), (255, 0, 0)),
    "cmyk black": (plain("CMYK", (0, 0, 0, 255), "JPEG", quality=95), (0, 0, 0)),
    "cmyk paper": (plain("CMYK", (0, 0, 0, 0), "JPEG", quality=95), (255, 255, 255)),
    "progressive jpeg": (plain("RGB", RED, "JPEG", progressive=True, quality=95), RED),
}


@pytest.mark.parametrize("name", COLOURS)
def test_every_mode_has_the_right_colour(name: str) -> None:
    image, expected = COLOURS[name]
    np.testing.assert_allclose(colour(image), expected, atol=3 if image.startswith(b"\xff\xd8") else 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_all_orientations_come_out_the_same(kind: str, orientation: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    upright = open_picture(turned(orientation, kind, **options), SETTINGS)
    assert np.array_equal(np.asarray(upright), np.asarray(draw()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientations_come_out_the_same(orientation: int) -> None:
    upright = open_picture(turned(orientation, "JPEG", quality=95, subsampling=0), SETTINGS)
    assert upright.size == (64, 48)
    quarters = np.asarray(upright)[[12, 12, 36, 36], [16, 48, 16, 48]]
    np.testing.assert_allclose(quarters, [RED, GREEN, BLUE, GREY], atol=4)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x"]
)
def test_broken_metadata_does_not_spoil_a_picture(exif: bytes) -> None:
    image = encode(draw(), "PNG", exif=exif)
    assert np.array_equal(np.asarray(open_picture(image, SETTINGS)), np.asarray(draw()))
    assert open_picture(encode(draw(), "JPEG", exif=exif), SETTINGS).size == (64, 48)


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    assert open_picture(encode(draw(), "PNG", exif=exif), SETTINGS).size == (64, 48)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_frame_of_an_animation_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), shade) for shade in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    image = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert colour(image) == RED


def test_the_first_picture_of_a_multi_picture_file_is_read() -> None:
    image = encode(draw(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48), BLUE)])
    np.testing.assert_allclose(np.asarray(open_picture(image, SETTINGS))[12, 16], RED, atol=4)


def test_large_photographs_are_decoded_small() -> None:
    photograph = encode(draw(4000, 3000), "JPEG", quality=90)
    picture = open_picture(photograph, SETTINGS)
    assert picture.size == (500, 375)
    np.testing.assert_allclose(
        np.asarray(picture)[[50, 50, 350, 350], [50, 450, 50, 450]], [RED, GREEN, BLUE, GREY], atol=4
    )
    assert np.array_equal(np.asarray(picture), np.asarray(open_picture(photograph, SETTINGS)))


REFUSED = {
    "nothing": (b"", "image_empty"),
    "a word": (b"hello", "unsupported_image"),
    "gif": (encode(draw(), "GIF"), "unsupported_image"),
    "bmp": (encode(draw(), "BMP"), "unsupported_image"),
    "tiff": (encode(draw(), "TIFF"), "unsupported_image"),
    "pdf": (encode(draw(), "PDF"), "unsupported_image"),
    "eps": (encode(draw(), "EPS"), "unsupported_image"),
    "ico": (encode(draw(), "ICO"), "unsupported_image"),
    "avif": (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "unsupported_image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_image"),
    "html": (b"<!DOCTYPE html><html></html>", "unsupported_image"),
    "zip": (b"PK\x03\x04" + bytes(100), "unsupported_image"),
    "riff that is no webp": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(30), "unsupported_image"),
    "a gif that holds a jpeg": (b"GIF89a" + encode(draw(), "JPEG"), "unsupported_image"),
    "a pdf that holds a jpeg": (b"%PDF-1.7\n" + encode(draw(), "JPEG"), "unsupported_image"),
    "a start and no more, png": (PNG_START, "image_corrupt"),
    "a start and no more, jpeg": (b"\xff\xd8\xff\xe0", "image_corrupt"),
    "a start and no more, webp": (b"RIFF\x24\0\0\0WEBPVP8 ", "image_corrupt"),
    "half a png": (encode(draw())[: len(encode(draw())) // 2], "image_corrupt"),
    "half a jpeg": (encode(draw(), "JPEG")[:-300], "image_corrupt"),
    "half a webp": (encode(draw(), "WEBP")[:-40], "image_corrupt"),
    "png without its end": (encode(draw())[:-12], "image_corrupt"),
    "png without pixels": (
        PNG_START + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) + chunk(b"IEND"),
        "image_corrupt",
    ),
    "png with a flipped bit in the pixels": (flip_bit(encode(draw()), 60), "image_corrupt"),
    "png with a flipped bit in the header": (flip_bit(encode(draw()), 19), "image_corrupt"),
    "jpeg with a flipped marker": (
        flip_bit(encode(draw(), "JPEG"), encode(draw(), "JPEG").index(b"\xff\xc0") + 1),
        "image_corrupt",
    ),
    "webp with a flipped bit in the header": (flip_bit(encode(draw(), "WEBP"), 24), "image_corrupt"),
    "one pixel": (encode(draw(1, 1)), "image_bad_shape"),
    "a line": (encode(draw(64, 1)), "image_bad_shape"),
    "1 x 20000": (blank_png(1, 20_000), "image_bad_shape"),
    "20000 x 1": (blank_png(20_000, 1), "image_bad_shape"),
    "a ribbon": (blank_png(2100, 100), "image_bad_shape"),
    "9000 x 9000": (png(9000, 9000, depth=8, colour=0, rows=b""), "image_too_large"),
    "just above the limit": (png(5001, 5000, depth=8, colour=0, rows=b""), "image_too_large"),
    "a bomb for Pillow too": (png(20_000, 20_000, depth=8, colour=0, rows=b""), "image_too_large"),
    "a billion pixels on each edge": (png(2**30, 2**30, depth=8, colour=0, rows=b""), "image_too_large"),
    "a webp canvas of 16383": (
        b"RIFF\x32\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0" + encode(draw(), "WEBP")[12:],
        "image_too_large",
    ),
    "too long": (encode(draw(), "JPEG") + bytes(6_000_000), "image_too_large"),
    "a thousand scans": (many_scans(1000), "image_corrupt"),
    "a hundred thousand chunks": (
        png(8, 8, depth=8, colour=2, rows=bytes(25 * 8), before=chunk(b"abCd") * 100_000),
        "image_corrupt",
    ),
    "a hundred thousand chunks at the end": (
        png(8, 8, depth=8, colour=2, rows=bytes(25 * 8), after=chunk(b"abCd") * 100_000),
        "image_corrupt",
    ),
    "a megabyte of filler": (b"\xff\xd8" + b"\xff" * 1_000_000 + encode(draw(), "JPEG")[2:], "image_corrupt"),
    "a hundred thousand segments": (
        b"\xff\xd8" + b"\xff\xfe\0\2" * 100_000 + encode(draw(), "JPEG")[2:],
        "image_corrupt",
    ),
    "a hundred thousand segments behind the pixels": (
        encode(draw(), "JPEG")[:-2] + b"\xff\xfe\0\2" * 100_000 + b"\xff\xd9" + b"\xff\xda" * 200,
        "image_corrupt",
    ),
    "a bomb of text": (
        png(8, 8, depth=8, colour=2, rows=bytes(25 * 8), before=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8)))),
        "image_corrupt",
    ),
    "a bomb of colour profile": (
        png(8, 8, depth=8, colour=2, rows=bytes(25 * 8), before=chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(10**8)))),
        "image_corrupt",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_picture_is_refused_quickly(name: str) -> None:
    image, expected = REFUSED[name]
    started = time.process_time()
    assert refusal(image) == expected
    assert time.process_time() - started < 1


def test_a_file_cut_anywhere_is_refused_or_complete() -> None:
    """A cut that only loses the end marker keeps every pixel; all other cuts are detected."""
    for kind in ("PNG", "JPEG", "WEBP"):
        image = encode(draw(), kind)
        for length in range(1, len(image) - 2, 7):
            assert refusal(image[:length]) in ("image_corrupt", "unsupported_image"), (kind, length)


def test_every_flipped_bit_of_a_png_is_noticed() -> None:
    image = encode(draw(16, 16))
    for position in range(len(PNG_START), len(image) - 12):
        assert refusal(flip_bit(image, position)) in ("image_corrupt", "image_too_large", "image_bad_shape")


def test_a_flipped_bit_in_a_jpeg_raises_no_other_exception() -> None:
    image = encode(draw(), "JPEG")
    for position in range(0, len(image), 3):
        try:
            open_picture(flip_bit(image, position), SETTINGS)
        except ProductError as error:
            assert error.type in ("image_corrupt", "unsupported_image", "image_too_large", "image_bad_shape")


def test_a_picture_at_the_limits_is_read() -> None:
    assert open_picture(encode(draw(2, 2)), SETTINGS).size == (2, 2)
    assert open_picture(blank_png(2000, 100), SETTINGS).size == (2000, 100)
    assert open_picture(many_scans(MAX_SCANS - 10), SETTINGS).size == (64, 64)
    settings = dataclasses.replace(SETTINGS, max_image_pixels=64 * 48)
    assert open_picture(encode(draw()), settings).size == (64, 48)
    assert refusal(encode(draw()), dataclasses.replace(settings, max_image_pixels=64 * 48 - 1)) == "image_too_large"
    assert refusal(encode(draw()), dataclasses.replace(settings, max_image_bytes=100)) == "image_too_large"


def test_a_large_jpeg_has_fewer_scans() -> None:
    """25 megapixels in 90 scans are 0.15 MB, and took 1.5 s."""
    assert refusal(many_scans(90, side=5000)) == "image_corrupt"
    assert open_picture(many_scans(8, side=5000), SETTINGS).size == (625, 625)


def test_scans_after_the_picture_do_not_count() -> None:
    """Phones append videos to photographs; a marker in a video is no scan."""
    film = b"\0\0" + b"\xff\xda\0\2" * 10_000
    assert open_picture(encode(draw(), "JPEG") + film, SETTINGS).size == (64, 48)


def test_real_files_stay_far_below_the_limit_of_reads() -> None:
    noise = encode(Image.effect_noise((1500, 1500), 90))
    assert len(noise) > 1_000_000
    assert open_picture(noise, SETTINGS).size == (1500, 1500)
    assert len(noise) // 8192 * 3 < MAX_READS // 10


def test_a_large_picture_takes_little_memory_beside_its_pixels() -> None:
    image = blank_png(2000, 2000, colour=6)
    tracemalloc.start()
    open_picture(image, SETTINGS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000  # Pillow's pixels are not traced: 4 bytes each for the picture, and 4 for the white below


def test_a_bomb_is_refused_where_warnings_are_not_errors() -> None:
    """The tests turn warnings into errors, a server does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert refusal(png(10_000, 9500, depth=8, colour=0, rows=b"")) == "image_too_large"


def test_refusals_name_the_field_and_hold_nothing_of_the_file() -> None:
    for image, _ in REFUSED.values():
        with pytest.raises(ProductError, match=r"^image: ") as caught:
            open_picture(image, SETTINGS)
        assert "0x" not in caught.value.message and "BytesIO" not in caught.value.message


def test_pixels_are_read_from_the_header() -> None:
    assert header_pixels(encode(draw())) == 64 * 48
    assert header_pixels(encode(draw(), "JPEG")) == 64 * 48
    assert header_pixels(b"hello") == header_pixels(b"") == 0
