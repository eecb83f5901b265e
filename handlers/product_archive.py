"""The archive's own record: checksums of its files, and golden products that a backend has to answer as expected."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MANIFEST = "manifest.json"
SCORE_TOLERANCE = 1e-3


class ArchiveError(RuntimeError):
    """The archive is not what was verified; it must not serve."""


class GoldenProduct(NamedTuple):
    """A product with the answer that the trained model gave.

    Args:
        image: encoded picture, or None.
        text: title, or None.
        scores: (C,) float64 calibrated probabilities.
    """

    image: bytes | None
    text: str | None
    scores: NDArray[np.float64]


def read_archive(folder: Path) -> dict[str, Any]:
    """The manifest of an unpacked archive whose files are as they were verified.

    Raises:
        ArchiveError: the manifest is missing or broken, or a file is missing or changed; the message names it.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, str] = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{MANIFEST} cannot be read; build the archive again with `make archive`") from error
    for name, expected in files.items():
        if _sha256(folder / name) != expected:
            raise ArchiveError(f"{name} is not the file that was verified; build the archive again with `make archive`")
    return manifest


def golden_products(manifest: dict[str, Any]) -> list[GoldenProduct]:
    """The golden products of a manifest."""
    return [
        GoldenProduct(
            None if entry["image"] is None else base64.b64decode(entry["image"]),
            entry["text"],
            np.array(entry["scores"], dtype=np.float64),
        )
        for entry in manifest["golden"]
    ]


def check_golden(golden: Sequence[GoldenProduct], scores: NDArray[np.float64]) -> None:
    """Compare a backend's answers with the expected ones.

    Args:
        golden: N products.
        scores: (N, C) answers.

    Raises:
        ArchiveError: a label differs, or a score by more than ``SCORE_TOLERANCE``; the message says which.
    """
    for number, (product, answer) in enumerate(zip(golden, scores, strict=True)):
        if answer.shape != product.scores.shape:
            raise ArchiveError(f"golden product {number}: {len(answer)} scores, expected {len(product.scores)}")
        difference = float(np.abs(answer - product.scores).max())
        same_label = answer.argmax() == product.scores.argmax()
        if not same_label or not difference <= SCORE_TOLERANCE:
            raise ArchiveError(
                f"golden product {number}: scores differ by {difference:.2g} ({SCORE_TOLERANCE:g} allowed), "
                f"the label is {'the same' if same_label else 'another'}"
            )


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
