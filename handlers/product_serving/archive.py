"""The archive's own record: checksums of its files, and golden products that an engine has to answer as expected.

``SHA256SUMS`` lists every other file, as ``sha256sum -c SHA256SUMS`` reads it, and opens with the checksum of its own
list, so that damage to any file is noticed, to this one too. It is proof against damage, not against someone who
changes a file and its checksum with it: whoever may write to the model store may run code in the worker. The modules of
the archive are Python that runs before it is checked; damage that keeps it from running stops the worker as well.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .engines.table import NAMES
from .hierarchy import chosen_labels
from .settings import ProductSettings

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
CHECKED = (
    MANIFEST,
    "product_handler.py",
    "product_serving/service.py",
    "settings.json",
    "tokenizer.json",
    "model.pt",
    "model.onnx",
)
_SEAL = "# sha256 of the lines below: "
_MEND = "build the archive again with `make archive`"


class ArchiveError(RuntimeError):
    """The archive is not what was verified; it must not serve."""


class GoldenProduct(NamedTuple):
    """A product with the answer that the trained model gave.

    Args:
        image: encoded picture, or None.
        text: title, or None.
        scores: (C,) float64 calibrated probabilities, those of all attributes one behind the other.
        labels: by attribute, the main one first; another only where no rounding can change its label.
    """

    image: bytes | None
    text: str | None
    scores: NDArray[np.float64]
    labels: Mapping[str, str]

    @property
    def label(self) -> str:
        """That of the main attribute."""
        return next(iter(self.labels.values()))


def read_archive(folder: Path) -> dict[str, Any]:
    """The manifest of an unpacked archive whose files are as they were verified.

    Files that ``SHA256SUMS`` does not list are left alone: Python and TorchServe add their own.

    Raises:
        ArchiveError: a file is missing, changed or cannot be read; the message names it.
    """
    files = _read_sums(folder)
    if unlisted := [name for name in CHECKED if name not in files]:
        raise ArchiveError(f"{SUMS} has no checksum of {', '.join(unlisted)}; {_MEND}")
    for name, expected in files.items():
        if _sha256(folder / name) != expected:
            raise ArchiveError(f"{name} is not the file that was verified; {_MEND}")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{MANIFEST} cannot be read ({type(error).__name__}); {_MEND}") from error
    return manifest


def format_sums(files: Mapping[str, str]) -> str:
    """The content of ``SHA256SUMS``.

    Args:
        files: name within the archive -> sha256 in hexadecimal.
    """
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return f"{_SEAL}{hashlib.sha256(lines.encode()).hexdigest()}\n{lines}"


def read_settings(folder: Path) -> ProductSettings:
    """The settings of an unpacked archive.

    Raises:
        ArchiveError: another version of this package wrote them.
    """
    try:
        return ProductSettings.from_json(folder / "settings.json")
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"{error}; {_MEND}") from error


def golden_products(manifest: dict[str, Any]) -> list[GoldenProduct]:
    """The golden products of a manifest.

    Raises:
        ArchiveError: there are none, or they cannot be read.
    """
    try:
        golden = [_golden_product(entry) for entry in manifest["golden"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(
            f"{MANIFEST}: its golden products cannot be read ({type(error).__name__}); {_MEND}"
        ) from error
    if not golden:
        raise ArchiveError(f"{MANIFEST} holds no golden products to check the model with; {_MEND}")
    return golden


def verified_engines(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the fast engines that passed the accuracy gate when the archive was built.

    Raises:
        ArchiveError: the manifest has names that this version does not know.
    """
    fast = manifest.get("fast", {})
    if unknown := sorted(set(fast) - set(NAMES)):
        raise ArchiveError(f"{MANIFEST} names engines {unknown} of another version of this package; {_MEND}")
    return [name for name, figures in fast.items() if figures["passed"]]


def check_labels(manifest: Mapping[str, Any], settings: ProductSettings) -> None:
    """Compare the classes' names with those that were verified: golden products show only the classes that they are of.

    Args:
        manifest: of the archive.
        settings: of the model.

    Raises:
        ArchiveError: a name or the order differs.
    """
    if list(manifest.get("attributes", {}).items()) != [(each.name, list(each.labels)) for each in settings.attributes]:
        raise ArchiveError(f"settings.json: its labels are not those that were verified, or in another order; {_MEND}")


def check_golden(
    golden: Sequence[GoldenProduct], scores: NDArray[np.float64], *, settings: ProductSettings, tolerance: float
) -> None:
    """Compare an engine's answers with the expected ones.

    Args:
        golden: N products.
        scores: (N, C) answers.
        settings: of the model.
        tolerance: how far a score may be from the expected one.

    Raises:
        ArchiveError: a label differs, or a score by more than that; the message says which.
    """
    labels = sum(settings.sizes)
    for number, (product, answer) in enumerate(zip(golden, scores, strict=True), 1):
        if not len(answer) == len(product.scores) == labels:
            raise ArchiveError(
                f"golden product {number}: {len(answer)} scores, expected {len(product.scores)}, "
                f"one for each of {labels} labels"
            )
        difference = float(np.abs(answer - product.scores).max())
        if not difference <= tolerance:  # not even where it is NaN
            raise ArchiveError(
                f"golden product {number}: scores differ by {difference:.2g}, at most {tolerance:g} is allowed"
            )
        chosen = zip(settings.attributes, chosen_labels(answer[None], settings)[0], strict=True)
        said = {attribute.name: attribute.labels[label] for attribute, label in chosen}
        for name, expected in product.labels.items():
            if said.get(name) != expected:
                raise ArchiveError(f"golden product {number}: {said.get(name)!r}, expected {expected!r}")


def _golden_product(entry: dict[str, Any]) -> GoldenProduct:
    if not (labels := dict(entry["labels"])):
        raise ValueError("no label is expected")
    return GoldenProduct(
        None if entry["image"] is None else base64.b64decode(entry["image"], validate=True),
        entry["text"],
        np.array(entry["scores"], dtype=np.float64),
        labels,
    )


def _read_sums(folder: Path) -> dict[str, str]:
    try:
        seal, _, lines = (folder / SUMS).read_bytes().decode("utf-8").partition("\n")
        pairs = [line.split("  ", 1) for line in lines.splitlines()]
        files = {name: digest for digest, name in pairs}
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{SUMS} cannot be read ({type(error).__name__}); {_MEND}") from error
    if seal + "\n" + lines != format_sums(files):
        raise ArchiveError(f"{SUMS} is not the list that was written with the archive; {_MEND}")
    return files


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
