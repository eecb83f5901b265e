"""Products to click: the golden products of the archives that the server has loaded, or a sample of the user's own."""

from pathlib import Path
from typing import NamedTuple

from client.api.errors import ClientError
from client.archives.golden_products import read_golden
from client.archives.model_store import ModelStore
from client.rollout.sample import read_sample
from client.server.config import ServerConfig

SHOWN = 12


class Example(NamedTuple):
    """A product to click; one of the two may be missing."""

    image: Path | None
    text: str


def golden_examples(config: ServerConfig, folder: Path) -> list[Example]:
    """Golden products of the archives that a start of the server loads; none where their store is not at hand.

    Args:
        config: names store and archives.
        folder: the pictures are written to.
    """
    store = ModelStore(config.model_store)
    found: list[Example] = []
    for name in config.load_models:
        try:
            golden = read_golden(store.archive(name.split("=")[-1]).path)
        except ClientError:
            continue  # examples are a convenience: a server elsewhere has its store elsewhere
        for number, product in enumerate(golden.products):
            path = folder / f"{golden.archive}-{number}.jpg"
            if product.image is not None:
                path.write_bytes(product.image)
            found.append(Example(path if product.image is not None else None, product.text or ""))
    return found[:SHOWN]


def sample_examples(path: Path) -> list[Example]:
    """Products of a folder of pictures, or of a CSV with columns image, text.

    Raises:
        ClientError: there are none.
    """
    return [
        Example(None if image is None else Path(str(image)), text or "")
        for image, text in read_sample(path, limit=SHOWN)
    ]
