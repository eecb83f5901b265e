"""Counts the answers of a scored catalogue, the output folder of ``python -m client score``."""

from collections import Counter
from pathlib import Path

import numpy as np

from client.api.errors import ClientError
from client.drift.counts import CONFLICT, UNSURE, AnswerCounts, Share
from handlers.product_serving.metrics import SCORE_BOUNDS
from training.system.storage import read_json

SUMMARY, PREDICTIONS = "summary.json", "predictions.parquet"
_COLUMNS = ("label", "score", "review", "modalities", "image", "text")


def scored_counts(folder: Path) -> AnswerCounts:
    """Count the answers; the file is read in batches, so its size does not matter.

    Raises:
        ClientError: the folder holds no scored catalogue, or one of an earlier version.
    """
    import pyarrow as pa  # noqa: PLC0415 - takes half a second
    import pyarrow.parquet as pq  # noqa: PLC0415

    summary = read_json(folder / SUMMARY) if folder.is_dir() else None
    if summary is None:
        raise ClientError(
            f"{folder} holds no scored catalogue; `python -m client score CATALOG --out {folder}` makes one"
        )
    labels, reviews, given = Counter[str](), Counter[str](), Counter[tuple[bool, bool]]()
    read, scores = set[str](), np.zeros(len(SCORE_BOUNDS), dtype=np.int64)
    try:
        for batch in pq.ParquetFile(folder / PREDICTIONS).iter_batches(columns=list(_COLUMNS)):
            columns = {name: batch.column(name).to_pylist() for name in _COLUMNS}
            labels.update(columns["label"])
            scores += np.bincount(np.searchsorted(SCORE_BOUNDS, columns["score"]), minlength=len(scores))
            reviews.update(reason for cell in columns["review"] for reason in cell.split("+"))
            read.update(name for cell in set(columns["modalities"]) for name in cell.split("+"))
            given.update(
                (bool(image), bool(text)) for image, text in zip(columns["image"], columns["text"], strict=True)
            )
    except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
        raise ClientError(
            f"{folder / PREDICTIONS} cannot be read ({error}); score the catalogue again, with --replace"
        ) from error
    modalities = _by_modality(given, read)
    products = labels.total()
    key = summary.get("key", {})
    return AnswerCounts(
        source=f"{folder} ({key.get('model', 'unknown model')} {key.get('version', '')})".replace(" )", ")"),
        products=products,
        labels=labels,
        scores=scores.tolist(),
        modalities=modalities,
        unsure=Share(reviews[UNSURE], products),
        conflicts=Share(reviews[CONFLICT], modalities["both"]),
    )


def _by_modality(given: Counter[tuple[bool, bool]], read: set[str]) -> Counter[str]:
    """What the products have of the modalities that the model reads; a cascade may have answered by less."""
    found: Counter[str] = Counter()
    for (image, text), count in given.items():
        names = [name for name, there in (("image", image), ("text", text)) if there and name in read]
        if names:
            found["both" if len(names) > 1 else names[0]] += count
    return found
