"""What is set after training: class frequencies, temperature, review threshold, late fusion's weight; all but the first
are fitted on the validation part. Each attribute has its own.

Legend: N products, A attributes, C classes, in :func:`fitted_settings` those of all attributes one behind the other.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from handlers.product_serving.hierarchy import attribute_log_scores, attribute_scores, joint_logits
from handlers.product_serving.settings import Attribute, OneModality, ProductSettings
from training.data.attributes import MISSING
from training.scores.attribute_metrics import answered_scores
from training.scores.metrics import PRECISION_TARGET, ROUNDING, Classes, Probabilities, precision_by_confidence

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 10.0
PRIOR_DEVIATION = 0.5
WEIGHT_STEP = 0.02


def frequency_shift(targets: Classes, weights: NDArray[np.float64], *, classes: int) -> NDArray[np.float64]:
    """What to add to the logits of a model whose training drew some classes more often than they are.

    By Bayes' rule such a model is off by the ratio of the frequencies it has seen to the true ones (Saerens et al.,
    2002, "Adjusting the outputs of a classifier to new a priori probabilities").

    Args:
        targets: (N,) classes of the training rows, each of them there.
        weights: (N,) chance of each row to be drawn.
        classes: C.

    Returns:
        (C,), with mean 0.
    """
    true, drawn = np.bincount(targets, minlength=classes), np.bincount(targets, weights=weights, minlength=classes)
    shift = np.log(true) - np.log(drawn)
    return np.asarray(shift - shift.mean(), dtype=np.float64)


def fit_temperature(logits: NDArray[np.float32] | NDArray[np.float64], truth: Classes) -> float:
    """The temperature (Guo et al. 2017, arXiv:1706.04599) that minimises the Brier score, held near 1.

    Guo et al. minimise the negative log-likelihood, which knows no bounds: a few products that the model is sure of and
    that are labelled wrongly make all answers less sure. On 5,725 products told into 142 classes the ECE of the seven
    models was .009 to .030 by likelihood, and .005 to .012 by the Brier score, which is a proper score as well.

    Products that the model answers without an error would be fitted best by a temperature of 0. So log T has a normal
    prior of mean 0 and deviation ``PRIOR_DEVIATION``: it decides among ten products, and is not felt among a thousand.

    Args:
        logits: (N, C), N > 0.
        truth: (N,).

    Returns:
        Between ``MIN_TEMPERATURE`` and ``MAX_TEMPERATURE``.
    """
    values, rows = logits.astype(np.float64), np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        probabilities = softmax(values / np.exp(log_temperature), axis=1)
        brier = np.square(probabilities).sum() - 2 * probabilities[rows, truth].sum()  # + N, which changes nothing
        return float((log_temperature / PRIOR_DEVIATION) ** 2 / 2 + brier)

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def review_threshold(probabilities: Probabilities, truth: Classes, *, precision: float = PRECISION_TARGET) -> float:
    """The lowest score at and above which the answers reach a precision.

    Args:
        probabilities: (N, C), calibrated.
        truth: (N,).
        precision: 0..1.

    Returns:
        One of the scores: the lowest of all where all answers together reach the precision, since nothing is known of
        answers that are less sure than any seen; 1 where no score reaches it.
    """
    confidence = -np.sort(-probabilities.max(1).astype(np.float64))
    _, precisions, last = precision_by_confidence(probabilities, truth)
    enough = np.flatnonzero((precisions >= precision - ROUNDING) & last)
    return float(confidence[enough[-1]]) if len(enough) else 1.0


def fitted_settings(logits: NDArray[np.float32], truth: Classes, settings: ProductSettings) -> ProductSettings:
    """Settings with a temperature and a review threshold for each attribute, and a temperature for each hierarchy.

    Args:
        logits: (N, C).
        truth: (N, A), ``MISSING`` for no value. An attribute that no product has keeps what it has; where it has
            nothing, all its answers are reviewed.
        settings: of the model.
    """
    values = logits.astype(np.float64)
    temperatures = [
        dataclasses.replace(attribute, temperature=fit_temperature(values[known][:, part], classes[known]))
        if (known := classes != MISSING).any()
        else attribute
        for attribute, part, classes in zip(settings.attributes, settings.slices.values(), truth.T, strict=True)
    ]
    settings = _with_hierarchies(values, truth, dataclasses.replace(settings, attributes=tuple(temperatures)))
    said, precision = answered_scores(attribute_scores(values, settings), settings), settings.review_precision
    thresholds = [
        dataclasses.replace(attribute, review_threshold=_threshold(attribute, only, classes, precision))
        for attribute, only, classes in zip(settings.attributes, said, truth.T, strict=True)
    ]
    return dataclasses.replace(settings, attributes=tuple(thresholds))


def one_modality(fitted: ProductSettings, *, modality: str) -> OneModality:
    """What was fitted on products with one modality only, to be kept beside what was fitted on whole ones."""
    return OneModality(
        modality=modality,
        temperatures=tuple(attribute.temperature for attribute in fitted.attributes),
        review_thresholds=tuple(attribute.review_threshold for attribute in fitted.attributes),
        hierarchy_temperatures=tuple(each.temperature for each in fitted.hierarchies),
    )


def _with_hierarchies(logits: NDArray[np.float64], truth: Classes, settings: ProductSettings) -> ProductSettings:
    """Settings with a temperature of each hierarchy, where the finest attribute has values."""
    logs, names = attribute_log_scores(logits, settings), list(settings.slices)
    hierarchies = []
    for each in settings.hierarchies:
        finest = truth[:, names.index(each.attributes[0])]
        rows = np.flatnonzero(finest != MISSING)
        joint = joint_logits(logs[rows], each, settings)
        temperature = fit_temperature(joint, finest[rows]) if rows.size else each.temperature
        hierarchies.append(dataclasses.replace(each, temperature=temperature))
    return dataclasses.replace(settings, hierarchies=tuple(hierarchies))


def _threshold(attribute: Attribute, probabilities: Probabilities, truth: Classes, precision: float) -> float:
    """An attribute's review threshold; where no product has a value, the one it has, and 1 if that was never fitted."""
    if (known := truth != MISSING).any():
        return review_threshold(probabilities[known], truth[known], precision=precision)
    return attribute.review_threshold or 1.0


def fusion_weight(image: Probabilities, text: Probabilities, truth: Classes) -> float:
    """The picture's weight in a weighted average of two models' probabilities, in steps of .02.

    The weight that is right most often; of weights that are equally often right, as many are on a small validation
    part, the likeliest. The likelihood alone follows the few products on which the better model is sure and wrong.
    Few products that one model answers without an error would throw the other one out; so the weight has a prior,
    Beta(2, 2), which keeps it off 0 and 1 and is not felt among a thousand products.

    Args:
        image: (N, C), calibrated, N > 0.
        text: (N, C), calibrated.
        truth: (N,).

    Returns:
        Between .02 and .98.
    """
    rows, tiny = np.arange(len(truth)), np.finfo(np.float64).tiny
    weights = np.arange(WEIGHT_STEP, 1 - WEIGHT_STEP / 2, WEIGHT_STEP).round(2)
    averages = (weight * image.astype(np.float64) + (1 - weight) * text for weight in weights)
    judged = [
        (int(np.sum(average.argmax(1) == truth)), float(np.log(np.maximum(average[rows, truth], tiny)).sum()))
        for average in averages
    ]
    right, likelihood = np.array(judged).T
    likelihood += np.log(weights * (1 - weights))
    return float(weights[np.lexsort((likelihood, right))[-1]])
