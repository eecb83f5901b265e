"""Golden products: every archive carries a few products with the answers of the trained model.

A server that gives other answers does not serve the verified model.
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
from handlers.product_serving.archive import ArchiveError, GoldenProduct, read_golden_products, read_manifest

# An engine in bf16 changes scores in the third decimal place; another model changes them in the first.
TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True)
class GoldenSet:
    """The golden products of one archive.

    Args:
        archive: file name, for messages.
        labels: class names of the main attribute, in the order of the scores; those of other attributes follow.
        products: products with their expected answers.
        cascade: the archive has a cascade, so its full answers have to be asked for.
    """

    archive: str
    labels: tuple[str, ...]
    products: tuple[GoldenProduct, ...]
    cascade: bool = False


def read_golden(archive: Path) -> GoldenSet:
    """Read an archive's golden products.

    Raises:
        ClientError: the archive has none, or is damaged.
    """
    labels = main_labels(archive)
    try:
        products = tuple(read_golden_products(read_member(archive, "manifest.json")))
    except ArchiveError as error:
        raise ClientError(f"{archive.name}: {error}") from error
    return GoldenSet(archive.name, labels, products, bool(read_member(archive, "settings.json").get("cascade")))


def main_labels(archive: Path) -> tuple[str, ...]:
    """The class names of the main attribute of an archive's model.

    Raises:
        ClientError: the archive is broken, or of an earlier version.
    """
    return next(iter(attribute_labels(archive).values()))


def attribute_labels(archive: Path) -> dict[str, tuple[str, ...]]:
    """The class names of each attribute of an archive's model, the main one first.

    Raises:
        ClientError: the archive is broken, or of an earlier version.
    """
    try:
        attributes = read_member(archive, "settings.json")["attributes"]
        main, *further = [(str(each["name"]), tuple(map(str, each["labels"]))) for each in attributes]
        return dict([main, *further])
    except (LookupError, TypeError, ValueError) as error:
        raise ClientError(f"{archive.name} is of an earlier version: build it again with `make archive`") from error


def check_files(archive: Path) -> int:
    """Compare an archive's files with its checksums, as each worker does before it serves.

    Returns:
        The number of files.

    Raises:
        ClientError: a file is missing or changed, or the archive is damaged; the message names it.
    """
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        try:
            with zipfile.ZipFile(archive) as content:
                content.extractall(folder)
            read_manifest(Path(folder))
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ClientError(
                f"{archive.name} cannot be unpacked ({error}); build it again with `make archive`"
            ) from error
        except ArchiveError as error:
            raise ClientError(f"{archive.name}: {error}") from error
        return len(content.namelist())


def check_golden_answers(
    client: ProductClient, golden: GoldenSet, *, model: str, version: str | None = None
) -> list[str]:
    """Ask a server for the golden products and compare its answers with the expected ones.

    Args:
        client: client of the server.
        golden: golden products of the archive that should answer.
        model: registered name.
        version: exact version; None asks the default version.

    Returns:
        A sentence for each wrong answer; empty if all are as expected.

    Raises:
        ClientError: the server does not answer, or refuses the whole request.
    """
    products = [(product.image, product.text) for product in golden.products]
    answers = client.predict_many(products, model=model, version=version, full=golden.cascade)
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
        given = answer.attributes.get(name)
        if given is None or given.label != label:
            return f"answered {name} {given and given.label!r}, expected {label!r}"
    expected = dict(zip(labels, product.scores, strict=False))
    difference = max(abs(entry.score - expected.get(entry.label, -1.0)) for entry in answer.top)
    return f"scores differ by {difference:.2g}, more than {TOLERANCE:g}" if difference > TOLERANCE else None
