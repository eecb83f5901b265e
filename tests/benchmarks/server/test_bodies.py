"""Request bodies: distinct, of the sizes that are promised, and read by the handler as they were meant."""

import io
from email.message import Message
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.server.load.bodies import Sample, make_bodies, read_bodies, read_samples, write_bodies
from handlers.product_serving.request import ProductFields, read_request
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog import CatalogError

SETTINGS = ProductSettings(model="intermediate", attributes=(Attribute(name="label", labels=("a", "b")),))
COUNT = 12


@pytest.fixture(scope="module")
def samples(drawn_catalogue: Path) -> list[Sample]:
    return read_samples(drawn_catalogue.parent, COUNT)


def fields(body: bytes) -> ProductFields:
    [item] = read_request({"body": body}, "application/json", SETTINGS).items
    assert isinstance(item, ProductFields)
    return item


@pytest.mark.parametrize(
    ("kind", "size", "title"),
    [("both", (224, 224), True), ("photo", (1080, 1440), True), ("text", None, True), ("image", (224, 224), False)],
)
def test_the_handler_reads_each_kind(
    samples: list[Sample], kind: str, size: tuple[int, int] | None, title: bool
) -> None:
    for sample, body in zip(samples, make_bodies(samples, kind, photos=2), strict=False):
        read = fields(body.content)
        assert body.content_type == "application/json"
        assert read.text == (sample.text if title else None)
        assert (read.image and Image.open(io.BytesIO(read.image)).size) == size


def test_there_are_as_many_bodies_as_asked_for_and_all_differ(samples: list[Sample]) -> None:
    assert len({body.content for body in make_bodies(samples, "both", photos=2)}) == COUNT
    assert len(make_bodies(samples, "photo", photos=2)) == 2


def test_a_form_holds_the_picture_and_the_title(samples: list[Sample]) -> None:
    body = make_bodies(samples, "form", photos=2)[0]
    header = Message()
    header["Content-Type"] = body.content_type
    boundary = str(header.get_boundary()).encode()
    first, second = body.content.split(b"--" + boundary)[1:3]
    assert b'name="image"; filename=' in first and first.endswith(b"\r\n\r\n" + samples[0].image + b"\r\n")
    assert b'name="text"' in second and second.endswith(samples[0].text.encode() + b"\r\n")
    assert body.content.endswith(b"--" + boundary + b"--\r\n")


def test_bodies_come_back_from_their_file(samples: list[Sample], tmp_path: Path) -> None:
    bodies = make_bodies(samples, "both", photos=2)
    assert read_bodies(write_bodies(bodies, tmp_path / "both.bodies")) == bodies


def test_a_catalogue_that_is_too_small_says_so(drawn_catalogue: Path) -> None:
    with pytest.raises(CatalogError, match="100000 are needed"):
        read_samples(drawn_catalogue.parent, 100_000)
