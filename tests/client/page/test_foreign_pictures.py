"""Pictures that a server refuses: the page sends them as ones that it reads, or says what to do."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.page.product import foreign_pictures
from client.page.product.foreign_pictures import SIDE, ServableFiles, reads_heic, servable
from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import open_picture
from training.catalog import LIMITS, RowError, open_files

SIZE = (64, 32)
ORANGE = (240, 120, 20)


def encoded(kind: str, picture: Image.Image | None = None, **options: object) -> bytes:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    buffer = io.BytesIO()
    (picture or Image.new("RGB", SIZE, ORANGE)).save(buffer, kind, **options)
    return buffer.getvalue()


def read_by_the_server(image: bytes) -> Image.Image:
    return open_picture(image, LIMITS)


def size_of(image: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(image)).size


@pytest.mark.parametrize("kind", ["GIF", "BMP", "AVIF", "HEIF"])
def test_a_foreign_picture_becomes_one_that_the_server_reads(kind: str) -> None:
    image = encoded(kind)
    with pytest.raises(ProductError, match="not a JPEG"):
        read_by_the_server(image)
    made = servable(image)
    shown = read_by_the_server(made.content)
    assert shown.size == SIZE and shown.getpixel((10, 10)) == pytest.approx(ORANGE, abs=12)
    assert ("HEIC" if kind == "HEIF" else kind) in made.note


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_the_server_reads_stays_as_it_is(kind: str) -> None:
    image = encoded(kind)
    made = servable(image)
    assert made.content is image and made.note == ""


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("PNG", {"compress_level": 1})])
def test_a_picture_of_42_megapixels_is_shrunk(kind: str, options: dict[str, object]) -> None:
    made = servable(encoded(kind, Image.new("RGB", (7952, 5304), ORANGE), **options))
    shown = read_by_the_server(made.content)
    assert max(size_of(made.content)) == SIDE and "too large" in made.note
    assert shown.getpixel((9, 9)) == pytest.approx(ORANGE, abs=6)


def test_a_large_bitmap_is_shrunk_too() -> None:
    image = encoded("BMP", Image.new("RGB", (3000, 2000), ORANGE))
    assert len(image) > LIMITS.max_image_bytes
    assert size_of(servable(image).content) == (SIDE, 683)


def test_transparency_is_white_and_the_first_frame_counts() -> None:
    clear = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    assert read_by_the_server(servable(encoded("AVIF", clear)).content).getpixel((5, 5)) == (255, 255, 255)
    frames = [Image.new("RGB", SIZE, colour) for colour in (ORANGE, (0, 0, 255))]
    animated = encoded("GIF", frames[0], save_all=True, append_images=frames[1:])
    assert read_by_the_server(servable(animated).content).getpixel((5, 5)) == pytest.approx(ORANGE, abs=12)


def test_a_picture_that_was_taken_sideways_stands_upright() -> None:
    sideways = Image.new("RGB", SIZE, "white")
    sideways.paste(ORANGE, (0, 0, 16, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = read_by_the_server(servable(encoded("AVIF", sideways, exif=exif)).content)
    assert shown.size == SIZE[::-1]
    assert np.asarray(shown)[2, 16, 2] < 60 and np.asarray(shown)[-3, 16, 2] > 200


@pytest.mark.parametrize(
    ("image", "type", "said"),
    [
        (b"%PDF-1.7 and more", "unsupported_image", r"JPEG, PNG, WebP, GIF, BMP, AVIF.*: save it as one of these"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_image", "save it as one of these"),
        (b"II*\x00 tiff", "unsupported_image", "save it as one of these"),
        (b"GIF89a and nothing more", "image_corrupt", "a GIF that cannot be decoded; save it again as a JPEG"),
        (b"BM" + bytes(100), "image_corrupt", "a BMP that cannot be decoded"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "image_corrupt", "an? AVIF that cannot be decoded"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(image: bytes, type: str, said: str) -> None:
    with pytest.raises(ProductError, match=said) as error:
        servable(image)
    assert error.value.type == type


def test_a_bomb_is_refused_by_its_header() -> None:
    header = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + bytes(6)
    with pytest.raises(ProductError, match="more than 80 megapixels"):
        servable(header + b"\x2c" + bytes(20))


def test_without_its_package_a_heic_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_pictures, "reads_heic", lambda: False)
    with pytest.raises(
        ProductError, match=r"a HEIC, .* the page reads JPEG, .* and AVIF: save it as a JPEG, or let `make ui`"
    ):
        servable(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(8))
    assert reads_heic is not foreign_pictures.reads_heic


@pytest.mark.parametrize("large", [False, True])
def test_pictures_of_a_catalogue_are_converted_while_they_are_read(tmp_path: Path, large: bool) -> None:
    (tmp_path / "products.csv").write_text("image\na.bmp\n", encoding="utf-8")
    (tmp_path / "a.bmp").write_bytes(encoded("BMP", Image.new("RGB", (3000, 2000) if large else SIZE, ORANGE)))
    (tmp_path / "b.bmp").write_bytes(b"%PDF")
    files = ServableFiles(open_files(tmp_path / "products.csv"))
    assert read_by_the_server(files.read("a.bmp")).getpixel((5, 5)) == pytest.approx(ORANGE, abs=6)
    with pytest.raises(RowError, match=r"unsupported_image: 'b\.bmp': of a format that the page does not read"):
        files.read("b.bmp")
