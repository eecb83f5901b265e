"""Proof that eager PyTorch, TorchScript and ONNX Runtime give the same answers on real products.

Legend: B batch, N products, A attributes, C classes, those of all attributes one behind the other.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from handlers.product_serving.calibration import calibrated_scores
from handlers.product_serving.engines.engine import Batch
from handlers.product_serving.hierarchy import chosen_labels
from handlers.product_serving.preprocessing import Product, collate
from handlers.product_serving.settings import ProductSettings
from training.data.attributes import MISSING
from training.models import ProductClassifier
from training.scores.metrics import accuracy

BATCH_SIZES = (1, 3, 8)
TOLERANCE = 1e-3

Forward = Callable[[Batch], NDArray[np.float32]]  # a batch -> logits (B, C)


class VerificationError(ValueError):
    """The exported graphs do not agree with the trained model; the message names the products that differ."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """How far one exported graph is from eager PyTorch.

    Args:
        engine: its name.
        largest_difference: of any logit.
        same_class: share of answers with the same class; of several attributes, that of the one where it is lowest.
        accuracy: on the products verified.
        eager_accuracy: of eager PyTorch on them.
        batches: compared.
        products: distinct products verified.
        differing: ids of products whose class, in any attribute, differs.
        attributes: of each further attribute its own ``same_class``, and ``accuracy`` and ``eager_accuracy`` on the
            products that have a value.
    """

    engine: str
    largest_difference: float
    same_class: float
    accuracy: float
    eager_accuracy: float
    batches: int
    products: int
    differing: tuple[str, ...]
    attributes: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Logits within ``TOLERANCE`` and every top class the same."""
        return self.largest_difference <= TOLERANCE and not self.differing

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for the manifest."""
        return {**self.figures(), "tolerance": TOLERANCE, "passed": self.passed}

    def figures(self) -> dict[str, Any]:
        """All but a verdict; a single target is just that."""
        values = dataclasses.asdict(self)
        if not self.attributes:
            del values["attributes"]
        return values


def eager_forward(model: ProductClassifier) -> Forward:
    """The trained model itself, in fp32 on the CPU."""

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
    max_tokens: int,
    settings: ProductSettings | None = None,
) -> dict[str, Parity]:
    """Compare engines with eager PyTorch.

    Every product is answered once; the first ones also at batch 1, 3 and 8, each padded to the batch's longest title
    and to ``max_tokens``, and with the picture or the title hidden.

    Args:
        eager: the reference.
        engines: by name.
        products: N preprocessed products.
        ids: N ids, for the message.
        truth: (N,) classes; (N, A) of several attributes, ``MISSING`` for no value.
        max_tokens: the other title length.
        settings: of a model of several attributes: their labels are compared as they would be answered.

    Returns:
        Parity by engine.

    Raises:
        ValueError: there is no product to compare on.
    """
    if not products:
        raise ValueError("there are no products to verify on; the run's test part must hold at least one")
    several = settings is not None and settings.attributes
    decide = functools.partial(_answered, settings=settings) if settings and several else _best
    comparisons = {name: _Comparison(len(products), decide) for name in engines}
    batches = list(_batches(products, max_tokens))
    for rows, batch in tqdm(batches, desc="verify", unit="batch", leave=False):
        reference = eager(batch)
        for name, engine in engines.items():
            comparisons[name].add(rows, batch, reference, engine(batch))
    heads = [head.name for head in settings.heads] if settings and several else [""]
    classes = truth.reshape(len(products), -1)
    return {name: comparison.result(name, ids, classes, heads) for name, comparison in comparisons.items()}


def require_parity(parities: dict[str, Parity]) -> None:
    """Let agreement pass.

    Raises:
        VerificationError: an engine disagrees.
    """
    for parity in parities.values():
        if not parity.passed:
            raise VerificationError(
                f"{parity.engine} disagrees with the trained model: logits differ by {parity.largest_difference:.2e} "
                f"({TOLERANCE:.0e} allowed), the top class differs on {list(parity.differing[:10]) or 'no product'}; "
                "nothing was archived"
            )


def _best(logits: NDArray[np.float32], batch: Batch) -> NDArray[np.int64]:
    """(B, C) -> (B, 1)."""
    best: NDArray[np.int64] = logits.argmax(1)
    return best[:, None]


def _answered(logits: NDArray[np.float32], batch: Batch, *, settings: ProductSettings) -> NDArray[np.int64]:
    """(B, C) -> (B, A), by the hierarchies."""
    return chosen_labels(calibrated_scores(logits.astype(np.float64), batch.present, settings), settings)


class _Comparison:
    def __init__(self, products: int, decide: Callable[[NDArray[np.float32], Batch], NDArray[np.int64]]) -> None:
        self.decide = decide
        self.largest = 0.0
        self.answers = 0
        self.batches = 0
        self.differing: set[int] = set()
        self.different_answers: NDArray[np.int64] | int = 0
        self.predicted: dict[int, NDArray[np.int64]] = {}
        self.eager_predicted: dict[int, NDArray[np.int64]] = {}

    def add(
        self, rows: Sequence[int], batch: Batch, reference: NDArray[np.float32], logits: NDArray[np.float32]
    ) -> None:
        difference = np.abs(logits - reference)
        # A NaN compares false with everything; it has to count as the largest difference there is.
        self.largest = max(self.largest, float(np.nan_to_num(difference, nan=np.inf).max()))
        said, expected = self.decide(logits, batch), self.decide(reference, batch)
        wrong = said != expected  # (B, A)
        self.differing |= {row for row, differs in zip(rows, wrong.any(1), strict=True) if differs}
        self.different_answers = self.different_answers + wrong.sum(0)
        self.answers, self.batches = self.answers + len(rows), self.batches + 1
        for row, one, other in zip(rows, said, expected, strict=True):
            self.predicted.setdefault(row, one)
            self.eager_predicted.setdefault(row, other)

    def result(self, name: str, ids: Sequence[str], truth: NDArray[np.int64], heads: Sequence[str]) -> Parity:
        rows = range(len(truth))
        answers = [np.stack([said[row] for row in rows]) for said in (self.predicted, self.eager_predicted)]
        right = [
            [accuracy(classes[known], said[known, column]) if known.any() else 1.0 for said in answers]
            for column, classes in enumerate(truth.T)
            for known in [classes != MISSING]
        ]
        same = 1 - np.atleast_1d(self.different_answers) / self.answers
        names = ("same_class", "accuracy", "eager_accuracy")
        return Parity(
            engine=name,
            largest_difference=self.largest,
            same_class=float(same.min()),
            accuracy=right[0][0],
            eager_accuracy=right[0][1],
            batches=self.batches,
            products=len(truth),
            differing=tuple(ids[row] for row in sorted(self.differing)),
            attributes={
                head: dict(zip(names, (float(alike), *values), strict=True))
                for head, alike, values in zip(heads[1:], same[1:], right[1:], strict=True)
            },
        )


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
