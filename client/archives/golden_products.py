"""Golden products: a few products with the answers that the trained model gave, carried by every archive.

A server that answers them otherwise does not serve what was verified.
"""

import dataclasses
import tempfile
import zipfile
import zlib
from pathlib import Path

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.predictions import Prediction
from client.archives.model_store import read_member
from handlers.product_serving.archive import ArchiveError, GoldenProduct, golden_products, read_archive

# A fast provider computes in bf16 and moves scores in the third digit; another model moves them in the first.
TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True)
class GoldenSet:
    """The golden products of one archive.

    Args:
        archive: file name, for messages.
        labels: class names of the main attribute, in the order of the scores; those of other attributes follow.
        products: with their expected answers.
    """

    archive: str
    labels: tuple[str, ...]
    products: tuple[GoldenProduct, ...]


def read_golden(archive: Path) -> GoldenSet:
    """Read an archive's golden products.

    Raises:
        ClientError: it holds none, or is broken.
    """
    labels = main_labels(archive)
    try:
        products = tuple(golden_products(read_member(archive, "manifest.json")))
    except ArchiveError as error:
        raise ClientError(f"{archive.name}: {error}") from error
    return GoldenSet(archive.name, labels, products)


def main_labels(archive: Path) -> tuple[str, ...]:
    """The class names of the main attribute of an archive's model.

    Raises:
        ClientError: the archive is broken, or of an earlier version.
    """
    try:
        return tuple(map(str, read_member(archive, "settings.json")["attributes"][0]["labels"]))
    except (LookupError, TypeError) as error:
        raise ClientError(f"{archive.name} is of an earlier version: build it again with `make archive`") from error


def check_files(archive: Path) -> int:
    """Compare an archive's files with its own checksums, as each worker does before it serves.

    Returns:
        How many there are.

    Raises:
        ClientError: a file is missing or changed, or the archive is broken; the message names it.
    """
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        try:
            with zipfile.ZipFile(archive) as content:
                content.extractall(folder)
            read_archive(Path(folder))
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ClientError(
                f"{archive.name} cannot be unpacked ({error}); build it again with `make archive`"
            ) from error
        except ArchiveError as error:
            raise ClientError(f"{archive.name}: {error}") from error
        return len(content.namelist())


def check_golden(client: ProductClient, golden: GoldenSet, *, model: str, version: str | None = None) -> list[str]:
    """Ask a server the golden products.

    Args:
        client: of the server.
        golden: of the archive that should answer.
        model: registered name.
        version: to the letter; None asks the default version.

    Returns:
        What disagrees, a sentence each; empty where all answers are as expected.

    Raises:
        ClientError: the server does not answer, or refuses the request as a whole.
    """
    products = [(product.image, product.text) for product in golden.products]
    answers = client.predict_many(products, model=model, version=version)
    faults = []
    for number, (product, answer) in enumerate(zip(golden.products, answers, strict=True), 1):
        fault = _fault(product, answer, golden.labels) if isinstance(answer, Prediction) else str(answer)
        if fault:
            faults.append(f"golden product {number} of {golden.archive}: {fault}")
    return faults


def _fault(product: GoldenProduct, answer: Prediction, labels: tuple[str, ...]) -> str | None:
    if answer.label != product.label:
        return f"answered {answer.label!r}, expected {product.label!r}"
    for name, label in list(product.labels.items())[1:]:
        said = answer.attributes.get(name)
        if said is None or said.label != label:
            return f"answered {name} {said and said.label!r}, expected {label!r}"
    expected = dict(zip(labels, product.scores, strict=False))
    difference = max(abs(entry.score - expected.get(entry.label, -1.0)) for entry in answer.top)
    return f"scores differ by {difference:.2g}, at most {TOLERANCE:g} is allowed" if difference > TOLERANCE else None
