"""What is fitted on the validation part after training: temperature, review threshold, late fusion's weight.

Legend: N products, C classes.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from training.metrics import PRECISION_TARGET, Classes, Probabilities

# A validation part that the model answers without an error would be fitted best by a temperature of 0.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 10.0
WEIGHT_STEP = 0.02


def fit_temperature(logits: NDArray[np.float32], truth: Classes) -> float:
    """The temperature that minimises the negative log-likelihood (Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: (N, C).
        truth: (N,).

    Returns:
        Between ``MIN_TEMPERATURE`` and ``MAX_TEMPERATURE``.
    """

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(log_softmax(logits / np.exp(log_temperature), axis=1), truth)

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def review_threshold(probabilities: Probabilities, truth: Classes, *, precision: float = PRECISION_TARGET) -> float:
    """The lowest score at and above which the answers reach a precision.

    Args:
        probabilities: (N, C), calibrated.
        truth: (N,).
        precision: 0..1.

    Returns:
        A score; 0 where all answers together reach the precision, 1 where not even the most confident ones do.
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == truth
    order = np.argsort(-confidence, kind="stable")
    reached = np.cumsum(right[order]) / np.arange(1, len(truth) + 1) >= precision
    # Products of equal score are answered together, so only the last of them may set the threshold.
    reached &= np.append(np.diff(confidence[order]) < 0, True)
    if not reached.any():
        return 1.0
    last = np.flatnonzero(reached)[-1]
    return 0.0 if last == len(truth) - 1 else float(confidence[order][last])


def fusion_weight(image: Probabilities, text: Probabilities, truth: Classes) -> float:
    """The picture's weight in a weighted average of two models' probabilities, in steps of .02.

    Chosen by the likelihood and not by the accuracy, which on a small validation part is the same for many weights.

    Args:
        image: (N, C), calibrated.
        text: (N, C), calibrated.
        truth: (N,).
    """
    weights = np.linspace(0, 1, round(1 / WEIGHT_STEP) + 1)
    tiny = np.finfo(np.float64).tiny
    losses = [
        negative_log_likelihood(np.log(np.maximum(weight * image + (1 - weight) * text, tiny)), truth)
        for weight in weights
    ]
    return float(weights[int(np.argmin(losses))])


def negative_log_likelihood(log_probabilities: NDArray[np.float64], truth: Classes) -> float:
    """Mean of -log p(truth) over (N, C) log-probabilities."""
    return float(-np.mean(log_probabilities[np.arange(len(truth)), truth]))
