"""Request bodies made of a catalogue's products. They are distinct and are encoded before the measurement.

| kind | body |
|---|---|
| both | JSON: a 224-pixel JPEG in base64 and a title |
| photo | JSON: the same pictures, scaled up to 1080x1440, and a title |
| text | JSON: a title |
| image | JSON: a 224-pixel JPEG |
| form | multipart form with the content of ``both``; only TorchServe's front end parses forms |

Every system gets the same JSON, as it is or in the wrapping that its framework requires (:data:`BODY_FORMATS`).
"""

import base64
import io
import itertools
import json
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
from PIL import Image

from training.catalog import CatalogError, CatalogSource, open_files, open_rows

KINDS = ("both", "photo", "text", "image", "form")
SMALL = (224, 224)
PHOTO = (1080, 1440)
QUALITY = 90
JSON = "application/json"
TENSOR_HEADER = 256
"""Bytes of the JSON in front of a tensor. It is padded with spaces, so that all requests can share one HTTP header."""
TENSOR_HEADERS = {"Inference-Header-Content-Length": str(TENSOR_HEADER)}


class Body(NamedTuple):
    """The body of a request.

    Args:
        content_type: value of the Content-Type header.
        content: the bytes.
    """

    content_type: str
    content: bytes


class Sample(NamedTuple):
    """A product.

    Args:
        image: JPEG of 224x224 pixels.
        text: title.
    """

    image: bytes
    text: str


def read_samples(data: Path, count: int) -> list[Sample]:
    """Read the first products of a catalogue that have a picture and a title.

    Args:
        data: catalogue, as ``python -m training train --data`` takes it.
        count: number of products.

    Raises:
        CatalogError: the catalogue cannot be read or holds too few such products.
    """
    files = open_files(data)
    with open_rows(CatalogSource(path=str(data)), files, labelled=False) as (_, rows):
        usable = (row for row in rows if row.fault is None and row.image and row.text)
        samples = [Sample(_resized(files.read(row.image), SMALL), row.text) for row in itertools.islice(usable, count)]
    if len(samples) < count:
        raise CatalogError(f"{data} holds {len(samples)} products with picture and title; {count} are needed")
    return samples


def run_samples(pairs: Iterable[tuple[bytes | None, str | None]], count: int) -> list[Sample]:
    """The first products with a picture and a title, of pairs as a run's test part has them.

    Args:
        pairs: encoded picture and title.
        count: number of products.

    Raises:
        CatalogError: there are too few such products.
    """
    whole = ((image, text) for image, text in pairs if image and text)
    samples = [Sample(_resized(image, SMALL), text) for image, text in itertools.islice(whole, count)]
    if len(samples) < count:
        raise CatalogError(
            f"the run's test part has {len(samples)} products with picture and title; {count} are needed"
        )
    return samples


def make_bodies(samples: list[Sample], kind: str, *, photos: int) -> list[Body]:
    """Make the bodies of one kind, one for each sample.

    Args:
        samples: the products.
        kind: one of :data:`KINDS`.
        photos: number of bodies of the kind ``photo``; the other kinds ignore it.
    """
    if kind == "form":
        return [_form(sample) for sample in samples]
    if kind == "photo":
        samples = [Sample(_resized(sample.image, PHOTO), sample.text) for sample in samples[:photos]]
    return [Body(JSON, json.dumps(dict(_fields(sample, kind))).encode()) for sample in samples]


def write_bodies(bodies: list[Body], path: Path) -> Path:
    """Write bodies into a file for the load generator."""
    path.write_bytes(pickle.dumps([tuple(body) for body in bodies]))
    return path


def read_bodies(path: Path) -> list[Body]:
    """Read a file of :func:`write_bodies`. It is unpickled, so read only files that this run wrote."""
    return [Body(*body) for body in pickle.loads(path.read_bytes())]


def _fields(sample: Sample, kind: str) -> Iterator[tuple[str, str]]:
    if kind != "text":
        yield "image", base64.b64encode(sample.image).decode("ascii")
    if kind != "image":
        yield "text", sample.text


def _form(sample: Sample) -> Body:
    request = httpx.Request(
        "POST",
        "http://server",
        files={"image": ("image.jpg", sample.image, "image/jpeg"), "text": (None, sample.text)},
    )
    return Body(request.headers["Content-Type"], request.read())


def _resized(image: bytes, size: tuple[int, int]) -> bytes:
    """Return a JPEG of this size; one that has it stays as it is."""
    with Image.open(io.BytesIO(image)) as picture:
        if picture.size == size and picture.format == "JPEG":
            return image
        buffer = io.BytesIO()
        picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue()


def _tensor(content: bytes) -> bytes:
    """Make a KServe inference request that holds the body as binary data, after its length (4 bytes, little-endian).

    Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
    """
    value = len(content).to_bytes(4, "little") + content
    tensor = {"name": "body", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(value)}}
    wanted = {"name": "answer", "parameters": {"binary_data": True}}
    return json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode().ljust(TENSOR_HEADER) + value


BODY_FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "list": lambda content: b'{"products":[' + content + b"]}",
    "tensor": _tensor,
}
