"""Example products: the golden products of the loaded archives, or the user's own sample."""

from pathlib import Path
from typing import NamedTuple

from client.api.errors import ClientError
from client.archives.golden_products import read_golden
from client.archives.model_store import ModelStore
from client.rollout.sample import read_sample
from client.server.config import ServerConfig

MAX_EXAMPLES = 12


class Example(NamedTuple):
    """An example product: a picture, a title or both."""

    image: Path | None
    text: str


def golden_examples(config: ServerConfig, folder: Path) -> list[Example]:
    """Golden products of the archives that a server start loads; none if the store is on another machine.

    Args:
        config: names the store and the archives.
        folder: folder to write the pictures to.
    """
    store = ModelStore(config.model_store)
    found: list[Example] = []
    for name in config.load_models:
        try:
            golden = read_golden(store.archive(name.split("=")[-1]).path)
        except ClientError:
            continue  # the page works without examples
        for number, product in enumerate(golden.products):
            path = folder / f"{golden.archive}-{number}.jpg"
            if product.image is not None:
                path.write_bytes(product.image)
            found.append(Example(path if product.image is not None else None, product.text or ""))
    return found[:MAX_EXAMPLES]


def sample_examples(path: Path) -> list[Example]:
    """Products from a folder of pictures, or from a CSV with columns image, text.

    Raises:
        ClientError: the path cannot be read or contains no products.
    """
    return [
        Example(None if image is None else Path(str(image)), text or "")
        for image, text in read_sample(path, limit=MAX_EXAMPLES)
    ]
