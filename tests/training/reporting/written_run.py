"""A run folder and its catalogue as training would leave them, written by hand: every answer is known."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from training.run.record import VERSION

LABELS = ("Bags", "Shirts", "Shoes")
MODELS = ("image", "text", "early", "intermediate", "late")
TEST = 12


def write_catalogue(folder: Path, *, products: int, titles: Mapping[int, str] | None = None) -> Path:
    """A CSV of products 0.. with a picture of one colour each, labels in turn."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(products):
        Image.new("RGB", (30, 40), (40 * number % 256, 90, 160)).save(folder / "images" / f"{number}.png")
        title = (titles or {}).get(number, f"Product {number}")
        rows.append((f"p{number}", f"images/{number}.png", title, LABELS[number % len(LABELS)]))
    path = folder / "products.csv"
    pd.DataFrame(rows, columns=["id", "image", "text", "label"]).to_csv(path, index=False)
    return path


def write_run(
    folder: Path,
    catalogue: Path,
    *,
    wrong: Mapping[str, Sequence[int]] | None = None,
    labels: Sequence[str] = LABELS,
    target: str = "label",
    models: Sequence[str] = MODELS,
    **record: Any,
) -> Path:
    """A complete run whose test part is the first ``TEST`` products.

    Args:
        folder: of the run.
        catalogue: as from :func:`write_catalogue`.
        wrong: by model, test rows that it answers with the next class; all else is right, with a score of 0.9.
        labels: class names.
        target: name of the only attribute.
        models: registry names.
        record: entries of ``run.json`` to replace.
    """
    table = pd.read_csv(catalogue, dtype=str, keep_default_na=False)
    part = np.where(np.arange(len(table)) < TEST, "test", "train")
    split = pd.DataFrame({"id": table["id"], "label": table["label"], "part": part, "group": np.arange(len(table))})
    truth = np.array([list(labels).index(label) for label in table["label"][:TEST]])
    folder.mkdir(parents=True)
    split.to_csv(folder / "split.csv", index=False)
    for name in (*models, "baseline"):
        predicted = truth.copy()
        rows = list((wrong or {}).get(name, ()))
        predicted[rows] = (truth[rows] + 1) % len(labels)
        _write_answers(folder / name, table["id"][:TEST].to_numpy(dtype=str), truth, predicted, classes=len(labels))
    if "intermediate" in models:
        _write_attention(folder / "intermediate")
    values = {
        "source": {"path": str(catalogue)},
        "attributes": {target: list(labels)},
        "models": list(models),
        **record,
    }
    (folder / "run.json").write_text(json.dumps({**RECORD_VALUES, **values}), encoding="utf-8")
    return folder


RECORD_VALUES: dict[str, Any] = {
    "source": {"path": "shop.csv"},
    "version": VERSION,
    "hierarchies": [],
    "seed": 0,
    "created": "2026-01-02T03:04:05+00:00",
    "command": "python -m training train --data shop.csv",
    "arguments": {"image_fit": "pad", "image_size": 224, "text_encoder": "minilm", "seed": 0},
    "products": {"read": 31, "used": 30, "rejected": 1, "sampled": 30},
    "split": {"kind": "grouped", "hash": "0123456789abcdef0123", "train": 18, "validation": 0, "test": TEST},
    "device": {"name": "cpu", "bf16": False, "reason": "no AMX"},
    "seconds": {"image": 1.5},
    "peak_memory_gib": 1.25,
    "metrics": {name: {} for name in (*MODELS, "baseline")},
}


def _write_answers(folder: Path, ids: np.ndarray, truth: np.ndarray, predicted: np.ndarray, *, classes: int) -> None:
    folder.mkdir()
    if folder.name == "baseline":
        np.savez(folder / "test.npz", ids=ids, truth=truth[:, None], predicted=predicted[:, None])
        return
    probabilities = np.full((len(truth), classes), 0.1 / (classes - 1), dtype=np.float32)
    probabilities[np.arange(len(truth)), predicted] = 0.9
    np.savez(folder / "test.npz", ids=ids, truth=truth[:, None], probabilities=probabilities)
    encoders = {"image": (512, None), "text": (0, {"hidden_size": 768})}.get(folder.name, (512, {"hidden_size": 768}))
    architecture = {
        "image_encoder": encoders[0] and "resnet18",
        "image_width": encoders[0],
        "text_encoder": encoders[1],
    }
    (folder / "architecture.json").write_text(json.dumps(architecture), encoding="utf-8")


def _write_attention(folder: Path) -> None:
    """Of product 0: every cell looks at the null key, but the top left one at the word in two pieces."""
    weights = np.zeros((1, 49, 5), dtype=np.float32)
    weights[0, :, 0] = 1
    weights[0, 0] = [0, 0, 0.75, 0.25, 0]
    tokens = np.array([["[none]", "[CLS]", "hand", "##bag", ""]])
    np.savez(folder / "attention.npz", ids=np.array(["p0"]), tokens=tokens, weights=weights)
