"""What is set after training: class frequencies, temperature, review threshold, late fusion's weight; all but the first
are fitted on the validation part. Of several attributes each has its own.

Legend: N products, C classes.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from handlers.product_serving.hierarchy import attribute_scores, head_log_scores, joint_logits
from handlers.product_serving.settings import Attribute, OneSided, ProductSettings
from training.data.attributes import MISSING
from training.scores.attribute_metrics import answered
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
    """Settings with temperatures and review thresholds.

    Args:
        logits: (N, C).
        truth: (N,) classes, or (N, A) of several attributes.
        settings: of the model.
    """
    if settings.attributes:
        return _calibrate_attributes(logits, truth, settings)
    temperature = fit_temperature(logits, truth)
    threshold = review_threshold(softmax(logits / temperature, axis=1), truth, precision=settings.review_precision)
    return dataclasses.replace(settings, temperature=temperature, review_threshold=threshold)


def one_sided(fitted: ProductSettings, *, modality: str) -> OneSided:
    """What was fitted on products with one side only, to be kept beside what was fitted on whole ones."""
    return OneSided(
        modality=modality,
        temperatures=tuple(head.temperature for head in fitted.heads),
        review_thresholds=tuple(head.review_threshold for head in fitted.heads),
        hierarchy_temperatures=tuple(each.temperature for each in fitted.hierarchies),
    )


def _calibrate_attributes(logits: NDArray[np.float32], truth: Classes, settings: ProductSettings) -> ProductSettings:
    """Settings with a temperature and a review threshold of each attribute, and a temperature of each hierarchy.

    Args:
        logits: (N, C), those of all attributes.
        truth: (N, A), ``MISSING`` for no value; an attribute that no product has keeps what it has, and is
            always looked at if it has nothing.
        settings: of the model.
    """
    values = logits.astype(np.float64)
    there = truth != MISSING
    heads = [
        dataclasses.replace(head, temperature=fit_temperature(values[rows][:, part], classes[rows]))
        if (rows := np.flatnonzero(classes != MISSING)).size
        else head
        for head, part, classes in zip(settings.heads, settings.slices.values(), truth.T, strict=True)
    ]
    settings = _with_heads(settings, heads)
    logs, names = head_log_scores(values, settings), list(settings.slices)
    hierarchies = []
    for each in settings.hierarchies:
        finest = names.index(each.attributes[0])
        rows = np.flatnonzero(there[:, finest])
        joint = joint_logits(logs[rows], each, settings)
        temperature = fit_temperature(joint, truth[rows, finest]) if rows.size else each.temperature
        hierarchies.append(dataclasses.replace(each, temperature=temperature))
    settings = dataclasses.replace(settings, hierarchies=tuple(hierarchies))
    said, precision = answered(attribute_scores(values, settings), settings), settings.review_precision
    return _with_heads(
        settings,
        [
            dataclasses.replace(head, review_threshold=_threshold(head, only[known], classes[known], precision))
            for head, only, classes, known in zip(settings.heads, said, truth.T, there.T, strict=True)
        ],
    )


def _threshold(head: Attribute, probabilities: Probabilities, truth: Classes, precision: float) -> float:
    """An attribute's review threshold; where no product tells, the one it has, and 1 if that was never fitted."""
    if len(truth):
        return review_threshold(probabilities, truth, precision=precision)
    return head.review_threshold or 1.0


def _with_heads(settings: ProductSettings, heads: Iterable[Attribute]) -> ProductSettings:
    target, *further = heads
    return dataclasses.replace(
        settings,
        temperature=target.temperature,
        review_threshold=target.review_threshold,
        attributes=tuple(further),
    )


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
