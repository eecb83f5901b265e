"""Compute calibrated scores for products in batches of limited size; a product that fails does not fail the others.

Legend: N products, C classes of all attributes together.
"""

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .calibration import calibrated_scores
from .engines.engine import Engine
from .errors import ProductError, is_out_of_memory
from .preprocessing import Product, collate
from .settings import ProductSettings

logger = logging.getLogger(__name__)


class Scored(NamedTuple):
    """What a model says of one product.

    Args:
        scores: (C,) calibrated probabilities.
        present: (2,) bool, the modalities that the product has and the model can read: picture, title.
        agreement: see :class:`product_serving.engines.engine.Outputs`; NaN for a product without both modalities.
        computed: the towers that answered, if not all that the product has something for; see
            :mod:`product_serving.cascade`.
    """

    scores: NDArray[np.float64]
    present: NDArray[np.bool_]
    agreement: float = math.nan
    computed: tuple[str, ...] = ()


def score_batch(engine: Engine, products: Sequence[Product], *, settings: ProductSettings) -> NDArray[np.float64]:
    """Compute the calibrated scores of one batch.

    Returns:
        (N, C); a row of NaN for a product with a logit that is not finite.

    Raises:
        ValueError: the engine's number of answers is not N.
    """
    return _scored_batch(engine, products, settings)[0]


def _scored_batch(
    engine: Engine, products: Sequence[Product], settings: ProductSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (N, C), and the agreement of picture and title (N,)."""
    batch = collate(products)
    outputs = engine.outputs(batch)
    logits = outputs.logits.astype(np.float64)
    if len(logits) != len(products):
        raise ValueError(f"the engine gave {len(logits)} answers to {len(products)} products")
    logits[~np.isfinite(logits).all(axis=1)] = np.nan
    agreement = np.where(batch.present.all(axis=1), outputs.agreement.astype(np.float64), np.nan)
    return calibrated_scores(logits, batch.present, settings), agreement


def score_batches(engine: Engine, products: Sequence[Product], *, settings: ProductSettings) -> NDArray[np.float64]:
    """As :func:`score_batch` for one or more products, ``max_batch`` at a time."""
    batches = _batches(products, settings)
    return np.concatenate([score_batch(engine, batch, settings=settings) for batch in batches])


def score_products(
    engine: Engine, products: Sequence[Product], *, settings: ProductSettings
) -> list[Scored | ProductError]:
    """Compute scores or an error for each product; one product's error does not affect the others.

    Args:
        engine: computes the logits.
        products: any number.
        settings: temperatures, and the largest batch.
    """
    batches = _batches(products, settings)
    return [answer for batch in batches for answer in _score_or_retry(engine, batch, settings)]


def _batches(products: Sequence[Product], settings: ProductSettings) -> list[Sequence[Product]]:
    size = settings.max_batch
    return [products[start : start + size] for start in range(0, len(products), size)]


def _score_or_retry(
    engine: Engine, products: Sequence[Product], settings: ProductSettings
) -> list[Scored | ProductError]:
    """Score one batch; if the batch fails, score each product alone."""
    try:
        scores, agreement = _scored_batch(engine, products, settings)
    except Exception as error:  # engines' errors share no base class
        if len(products) > 1:
            return [answer for product in products for answer in _score_or_retry(engine, [product], settings)]
        logger.error("the model failed on a product with %s", type(error).__name__)
        if is_out_of_memory(error):
            return [ProductError("out_of_memory", "not enough memory to classify this product")]
        return [ProductError("model_output_invalid", "the model failed on this product")]
    invalid = ProductError("model_output_invalid", "the model gave no finite scores for this product")
    return [
        Scored(row, product.present, each) if np.isfinite(row).all() else invalid
        for product, row, each in zip(products, scores, agreement.tolist(), strict=True)
    ]
