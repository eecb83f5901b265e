"""Check an unpacked archive (checksums of its files, answers to its golden products), and take turns in loading it.

``SHA256SUMS`` lists every other file in the format of ``sha256sum -c``. Its first line is the checksum of the list, so
damage to the list is detected too. The checksums detect damage, not an attack: whoever can write to the model store can
also change the checksums, and can run code in the worker anyway. The archive's Python modules run before they are
checked. If damage stops them from running, the worker stops as well.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .engines.table import ENGINE_NAMES
from .hierarchy import chosen_labels
from .settings import ProductSettings

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
SIGNATURE = ".sig"  # after an archive's own name
REQUIRED_FILES = (
    MANIFEST,
    "product_handler.py",
    "product_serving/service.py",
    "settings.json",
    "tokenizer.json",
    "model.pt",
    "model.onnx",
)
_LIST_CHECKSUM = "# sha256 of the lines below: "
LOADING = ".loading"
_REBUILD = "build the archive again with `make archive`"


class ArchiveError(RuntimeError):
    """The archive differs from the one that was verified and must not serve."""


class GoldenProduct(NamedTuple):
    """A product with the trained model's answer.

    Args:
        image: encoded picture, or None.
        text: title, or None.
        scores: (C,) float64 calibrated probabilities, one attribute after the other.
        labels: expected label of each attribute, main attribute first. Attributes whose label rounding could change are
            left out.
    """

    image: bytes | None
    text: str | None
    scores: NDArray[np.float64]
    labels: Mapping[str, str]

    @property
    def label(self) -> str:
        """Expected label of the main attribute."""
        return next(iter(self.labels.values()))


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Let the processes that load one archive do so one after the other: they take cores from those that answer.

    Args:
        folder: the unpacked archive. Where no file can be made in it, nobody waits.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            file = stack.enter_context((folder / LOADING).open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)  # the end of the process gives it back too
        yield


def read_manifest(folder: Path) -> dict[str, Any]:
    """Compare an unpacked archive's files with their checksums, then read its manifest.

    Files that ``SHA256SUMS`` does not list are ignored, because Python and TorchServe add their own.

    Raises:
        ArchiveError: a file is missing, changed or cannot be read; the message names it.
    """
    files = _read_sums(folder)
    if unlisted := [name for name in REQUIRED_FILES if name not in files]:
        raise ArchiveError(f"{SUMS} has no checksum of {', '.join(unlisted)}; {_REBUILD}")
    for name, expected in files.items():
        if _sha256(folder / name) != expected:
            raise ArchiveError(f"{name} is not the file that was verified; {_REBUILD}")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{MANIFEST} cannot be read ({type(error).__name__}); {_REBUILD}") from error
    return manifest


def format_sums(files: Mapping[str, str]) -> str:
    """Return the content of ``SHA256SUMS``.

    Args:
        files: name within the archive -> sha256 in hexadecimal.
    """
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return f"{_LIST_CHECKSUM}{hashlib.sha256(lines.encode()).hexdigest()}\n{lines}"


def read_settings(folder: Path) -> ProductSettings:
    """Read the settings of an unpacked archive.

    Raises:
        ArchiveError: a setting is unknown or invalid; another version of this package may have written it.
    """
    try:
        return ProductSettings.from_json(folder / "settings.json")
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"{error}; {_REBUILD}") from error


def read_golden_products(manifest: dict[str, Any]) -> list[GoldenProduct]:
    """Read the golden products of a manifest.

    Raises:
        ArchiveError: there are none, or they cannot be read.
    """
    try:
        golden = [_golden_product(entry) for entry in manifest["golden"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(
            f"{MANIFEST}: its golden products cannot be read ({type(error).__name__}); {_REBUILD}"
        ) from error
    if not golden:
        raise ArchiveError(f"{MANIFEST} holds no golden products to check the model with; {_REBUILD}")
    return golden


def verified_engines(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the fast engines that passed the accuracy gate when the archive was built.

    Raises:
        ArchiveError: the manifest names an engine that this version does not know.
    """
    fast = manifest.get("fast", {})
    if unknown := sorted(set(fast) - set(ENGINE_NAMES)):
        raise ArchiveError(f"{MANIFEST} names engines {unknown} of another version of this package; {_REBUILD}")
    return [name for name, figures in fast.items() if figures["passed"]]


def check_labels(manifest: Mapping[str, Any], settings: ProductSettings) -> None:
    """Compare the class names in the settings with those in the manifest.

    Golden products alone cannot check this: they cover only a few classes.

    Args:
        manifest: of the archive.
        settings: of the model.

    Raises:
        ArchiveError: a name or the order of names differs.
    """
    if list(manifest.get("attributes", {}).items()) != [(each.name, list(each.labels)) for each in settings.attributes]:
        raise ArchiveError(
            f"settings.json: its labels are not those that were verified, or in another order; {_REBUILD}"
        )


def require_golden_answers(
    golden: Sequence[GoldenProduct], scores: NDArray[np.float64], *, settings: ProductSettings, tolerance: float
) -> None:
    """Compare an engine's answers with the expected ones.

    Args:
        golden: N products.
        scores: (N, C) answers.
        settings: of the model.
        tolerance: how far a score may be from the expected one.

    Raises:
        ArchiveError: a label differs, or a score differs by more than the tolerance; the message names the product.
    """
    labels = sum(settings.sizes)
    for number, (product, answer) in enumerate(zip(golden, scores, strict=True), 1):
        if not len(answer) == len(product.scores) == labels:
            raise ArchiveError(
                f"golden product {number}: {len(answer)} scores, expected {len(product.scores)}, "
                f"one for each of {labels} labels"
            )
        difference = float(np.abs(answer - product.scores).max())
        if not difference <= tolerance:  # NaN must fail too
            raise ArchiveError(
                f"golden product {number}: scores differ by {difference:.2g}, at most {tolerance:g} is allowed"
            )
        chosen = zip(settings.attributes, chosen_labels(answer[None], settings)[0], strict=True)
        answered = {attribute.name: attribute.labels[label] for attribute, label in chosen}
        for name, expected in product.labels.items():
            if answered.get(name) != expected:
                raise ArchiveError(f"golden product {number}: {answered.get(name)!r}, expected {expected!r}")


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
        raise ArchiveError(f"{SUMS} cannot be read ({type(error).__name__}); {_REBUILD}") from error
    if seal + "\n" + lines != format_sums(files):
        raise ArchiveError(f"{SUMS} is not the list that was written with the archive; {_REBUILD}")
    return files


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
