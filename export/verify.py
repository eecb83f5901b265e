"""Verify on real products that the engines give the same answers as the trained model (eager PyTorch).

Legend: B batch, N products, R answers (one to each product, then more to the first ones), A attributes, C classes of
all attributes together.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.product_serving.calibration import calibrated_scores
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.hierarchy import chosen_labels
from handlers.product_serving.preprocessing import Product, collate
from handlers.product_serving.settings import ProductSettings
from training.data.attributes import MISSING
from training.models import ProductClassifier
from training.scores.metrics import accuracy
from training.system.progress import progress

BATCH_SIZES = (1, 3, 8)
LOGIT_TOLERANCE = 1e-3

Forward = Callable[[Batch], NDArray[np.float32]]  # a batch -> logits (B, C)


class VerificationError(ValueError):
    """An exported graph disagrees with the trained model; the message names the products that differ."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """Comparison of one engine with eager PyTorch.

    Args:
        engine: its name.
        largest_difference: the largest difference of any logit.
        batches: number of batches compared.
        products: number of distinct products compared.
        differing: ids of products with a different class in any attribute.
        attributes: figures by attribute, main attribute first: ``same_class`` is the share of answers with the same
            class; ``accuracy`` (the engine's) and ``eager_accuracy`` are over the products that have a value.
    """

    engine: str
    largest_difference: float
    batches: int
    products: int
    differing: tuple[str, ...]
    attributes: Mapping[str, Mapping[str, float]]

    @property
    def main(self) -> Mapping[str, float]:
        """The figures of the main attribute."""
        return next(iter(self.attributes.values()))

    @property
    def same_class(self) -> float:
        """The lowest ``same_class`` of any attribute."""
        return min(each["same_class"] for each in self.attributes.values())

    @property
    def passed(self) -> bool:
        """Logits within ``LOGIT_TOLERANCE`` and every top class the same."""
        return self.largest_difference <= LOGIT_TOLERANCE and not self.differing

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for the manifest, ready for JSON."""
        return {**dataclasses.asdict(self), "tolerance": LOGIT_TOLERANCE, "passed": self.passed}


def eager_forward(model: ProductClassifier) -> Forward:
    """Return the trained model's forward pass, in fp32 on the CPU."""

    def run(batch: Batch) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = model(*(torch.from_numpy(array) for array in batch)).numpy()
        return logits

    return run


def verify(
    eager: Forward,
    engines: Mapping[str, Forward],
    products: Sequence[Product],
    *,
    ids: Sequence[str],
    truth: NDArray[np.int64],
    settings: ProductSettings,
) -> dict[str, Parity]:
    """Compare engines with eager PyTorch.

    Each product is answered once. The first products are answered again in batches of 1, 3 and 8, with titles padded to
    the longest and to ``max_tokens``, and with the picture or the title hidden.

    Args:
        eager: the reference.
        engines: by name.
        products: N preprocessed products.
        ids: N product ids.
        truth: (N, A) classes, ``MISSING`` for no value.
        settings: of the model, to compare labels as the server would answer them.

    Returns:
        The comparison of each engine, by name.

    Raises:
        ValueError: there are no products.
    """
    if not products:
        raise ValueError("there are no products to verify on; the run's test part must hold at least one")
    batches = list(_batches(products, settings.max_tokens))
    answers = [
        [forward(batch) for forward in (eager, *engines.values())]
        for _, batch in progress(batches, description="verify", unit="batch")
    ]
    reference, *others = (np.concatenate(logits) for logits in zip(*answers, strict=True))
    rows = np.concatenate([chosen for chosen, _ in batches])
    present = np.concatenate([batch.present for _, batch in batches])
    expected = _labels(reference, present, settings)
    parities = {}
    for name, logits in zip(engines, others, strict=True):
        answered = _labels(logits, present, settings)
        parities[name] = Parity(
            engine=name,
            # Comparisons with NaN are false, so NaN has to count as an infinite difference.
            largest_difference=float(np.nan_to_num(np.abs(logits - reference), nan=np.inf).max()),
            batches=len(batches),
            products=len(products),
            differing=tuple(ids[row] for row in np.unique(rows[(answered != expected).any(1)])),
            attributes=_figures(answered, expected, truth, settings),
        )
    return parities


def require_parity(parities: dict[str, Parity]) -> None:
    """Check that every engine agrees with the trained model.

    Raises:
        VerificationError: an engine disagrees.
    """
    for parity in parities.values():
        if not parity.passed:
            raise VerificationError(
                f"{parity.engine} disagrees with the trained model: logits differ by {parity.largest_difference:.2e} "
                f"({LOGIT_TOLERANCE:.0e} allowed), the top class differs on "
                f"{list(parity.differing[:10]) or 'no product'}; nothing was archived"
            )


def _labels(logits: NDArray[np.float32], present: NDArray[np.bool_], settings: ProductSettings) -> NDArray[np.int64]:
    """(R, C) logits and (R, 2) presence -> (R, A) labels, as the server would answer them."""
    return chosen_labels(calibrated_scores(logits.astype(np.float64), present, settings), settings)


def _figures(
    answered: NDArray[np.int64], expected: NDArray[np.int64], truth: NDArray[np.int64], settings: ProductSettings
) -> dict[str, dict[str, float]]:
    """The figures of each attribute, from (R, A) labels of an engine and of the trained model, and (N, A) classes."""
    figures = {}
    for column, attribute in enumerate(settings.attributes):
        known = np.flatnonzero(truth[:, column] != MISSING)
        engine_accuracy, eager_accuracy = (
            accuracy(truth[known, column], labels[known, column]) if len(known) else 1.0
            for labels in (answered, expected)
        )
        figures[attribute.name] = {
            "same_class": float((answered[:, column] == expected[:, column]).mean()),
            "accuracy": engine_accuracy,
            "eager_accuracy": eager_accuracy,
        }
    return figures


def _batches(products: Sequence[Product], max_tokens: int) -> Iterator[tuple[list[int], Batch]]:
    rows = list(range(len(products)))
    for start in range(0, len(rows), max(BATCH_SIZES)):
        chosen = rows[start : start + max(BATCH_SIZES)]
        yield chosen, collate([products[row] for row in chosen])
    for size, length, hide in itertools.product(BATCH_SIZES, (None, max_tokens), ("nothing", "image", "text")):
        chosen = rows[:size]
        batch = collate([products[row] for row in chosen])
        yield chosen, _hidden(batch if length is None else _padded(batch, length), hide)


def _padded(batch: Batch, tokens: int) -> Batch:
    missing = ((0, 0), (0, tokens - batch.input_ids.shape[1]))
    return batch._replace(
        input_ids=np.pad(batch.input_ids, missing), attention_mask=np.pad(batch.attention_mask, missing)
    )


def _hidden(batch: Batch, modality: str) -> Batch:
    """Hide one modality of every second product that keeps the other one."""
    present = batch.present.copy()
    column = ("image", "text").index(modality) if modality in ("image", "text") else None
    if column is not None:
        hidden = present.all(1) & (np.arange(len(present)) % 2 == 0)
        present[hidden, column] = False
    return batch._replace(present=present)
