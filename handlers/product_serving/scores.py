"""From products to calibrated scores: batches of bounded size, and a product that breaks one fails alone.

Legend: N products, C classes of all attributes together.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .calibration import calibrated_scores
from .engines.engine import Engine
from .errors import ProductError, is_out_of_memory
from .preprocessing import Product, collate
from .settings import ProductSettings

logger = logging.getLogger(__name__)


def score_batch(engine: Engine, products: Sequence[Product], *, settings: ProductSettings) -> NDArray[np.float64]:
    """Calibrated scores, attribute by attribute.

    Returns:
        (N, C); NaN for a product that has a logit which is not finite.

    Raises:
        ValueError: the engine did not answer each product.
    """
    batch = collate(products)
    logits = engine(batch).astype(np.float64)
    if len(logits) != len(products):
        raise ValueError(f"the engine gave {len(logits)} answers to {len(products)} products")
    logits[~np.isfinite(logits).all(axis=1)] = np.nan
    return calibrated_scores(logits, batch.present, settings)


def score_batches(engine: Engine, products: Sequence[Product], *, settings: ProductSettings) -> NDArray[np.float64]:
    """As :func:`score_batch`, for any number of products but none, ``max_batch`` at a time."""
    batches = _batches(products, settings)
    return np.concatenate([score_batch(engine, batch, settings=settings) for batch in batches])


def score_products(
    engine: Engine, products: Sequence[Product], *, settings: ProductSettings
) -> list[NDArray[np.float64] | ProductError]:
    """Scores (C,) of each product, or what is wrong with it; its neighbours' answers stay as they are alone.

    Args:
        engine: computes the graph.
        products: any number.
        settings: temperature, and how many products go to the engine at once.
    """
    batches = _batches(products, settings)
    return [answer for batch in batches for answer in _score_or_retry(engine, batch, settings)]


def _batches(products: Sequence[Product], settings: ProductSettings) -> list[Sequence[Product]]:
    size = settings.max_batch
    return [products[start : start + size] for start in range(0, len(products), size)]


def _score_or_retry(
    engine: Engine, products: Sequence[Product], settings: ProductSettings
) -> list[NDArray[np.float64] | ProductError]:
    """Scores of one batch; where the batch fails, each product is tried alone."""
    try:
        scores = score_batch(engine, products, settings=settings)
    except Exception as error:  # engines' errors share no base class
        if len(products) > 1:
            return [answer for product in products for answer in _score_or_retry(engine, [product], settings)]
        logger.error("the model failed on a product with %s", type(error).__name__)
        return [_model_error(error)]
    invalid = ProductError("model_output_invalid", "the model gave no finite scores for this product")
    return [row if np.isfinite(row).all() else invalid for row in scores]


def _model_error(error: Exception) -> ProductError:
    if is_out_of_memory(error):
        return ProductError("out_of_memory", "not enough memory to classify this product")
    return ProductError("model_output_invalid", "the model failed on this product")
