"""Example products: the golden products of the loaded archives."""

from pathlib import Path

from client.api.errors import ClientError
from client.api.inference import Product
from client.archives.golden_products import read_golden
from client.archives.model_store import ModelStore
from client.server.config import ServerConfig

MAX_EXAMPLES = 12


def golden_examples(config: ServerConfig, folder: Path) -> list[Product]:
    """Golden products of the archives that a server start loads; none if the store is on another machine.

    Args:
        config: names the store and the archives.
        folder: folder to write the pictures to.
    """
    store = ModelStore(config.model_store)
    found: list[Product] = []
    try:
        archives = store.loaded(config.load_models)
    except ClientError:
        archives = []  # the page works without examples
    for archive in archives:
        try:
            golden = read_golden(archive.path)
        except ClientError:
            continue
        for number, product in enumerate(golden.products):
            path = folder / f"{golden.archive}-{number}.jpg"
            if product.image is not None:
                path.write_bytes(product.image)
            found.append(Product(path if product.image is not None else None, product.text or ""))
    return found[:MAX_EXAMPLES]
