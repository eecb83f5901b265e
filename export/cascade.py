"""Fit the exits of a cascade on validation products, and measure on test products what they cost.

A cascade answers a product whose title says enough before all towers are computed
(:mod:`handlers.product_serving.cascade`). Its gate is that of a fast engine (:mod:`export.accuracy_gate`), in each
state of modalities: nearly all answers keep their class, and the accuracy stays.

Legend: N products, A attributes.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.accuracy_gate import MAX_LOSS, MIN_SAME_CLASS
from export.verify import VerificationError
from handlers.product_serving.cascade import LETTERS_GRAPH, confidence, letters_scores
from handlers.product_serving.engines.engine import Engine
from handlers.product_serving.engines.onnx import session
from handlers.product_serving.hierarchy import chosen_labels
from handlers.product_serving.preprocessing import Product
from handlers.product_serving.scores import score_batches
from handlers.product_serving.settings import Cascade, OneModality, ProductSettings
from training.data.attributes import MISSING
from training.scores.calibration import one_modality
from training.system.progress import progress

# Share of validation products whose class an exit may change. Both together are a fifth of what the gate allows: the
# threshold is the best one for these products, and the towers' epochs were chosen on them. With 0.002 and 0.001, 0.25 %
# of 4,000 validation products changed, but 0.7 % of 4,000 test products; with these, 0.1 and 0.3 % (intermediate
# fusion, 142 classes, December 2026).
LETTERS_CHANGES, TITLE_CHANGES = 0.0005, 0.0005
CLOSED = 2.0  # a threshold that no score reaches
STATES = ("both", "text")


class Answers(NamedTuple):
    """Answers of N products in one state of modalities.

    Args:
        labels: (N, A).
        sure: (N,) the score of the least certain attribute.
    """

    labels: NDArray[np.int64]
    sure: NDArray[np.float64]


class Seen(NamedTuple):
    """The answers on which a cascade is fitted or measured, to N products with a title.

    Args:
        truth: (N, A) classes, ``MISSING`` for no value.
        picture: (N,) bool, has a picture too.
        letters: by the letters.
        title: by the fusion, which reads the title alone.
        full: by the fusion, which reads all that there is.
    """

    truth: NDArray[np.int64]
    picture: NDArray[np.bool_]
    letters: Answers
    title: Answers
    full: Answers


def fitted_cascade(
    settings: ProductSettings,
    letters: ProductSettings,
    *,
    folder: Path,
    engine: Engine,
    products: Sequence[Product],
    truth: NDArray[np.int64],
) -> ProductSettings:
    """Settings with exits that are fitted on validation products.

    Args:
        settings: of the fusion.
        letters: of the run's lexical model, whose calibration holds for its answers here too.
        folder: holds the graphs.
        engine: computes the fusion.
        products: of the validation part.
        truth: (N, A) classes of these.
    """
    calibration = one_modality(letters, modality="text")
    settings = dataclasses.replace(settings, cascade=_closed(calibration))
    seen = see(settings, folder=folder, engine=engine, products=products, truth=truth)
    cascade = Cascade(
        letters=calibration,
        letters_threshold=_threshold(seen.letters, seen.full, seen.picture, LETTERS_CHANGES),
        letters_alone_threshold=_threshold(seen.letters, seen.title, np.ones_like(seen.picture), LETTERS_CHANGES),
        title_threshold=_threshold(seen.title, seen.full, seen.picture, TITLE_CHANGES),
        min_agreement=MIN_SAME_CLASS,
    )
    return dataclasses.replace(settings, cascade=cascade)


def cascade_figures(settings: ProductSettings, seen: Seen) -> dict[str, dict[str, float]]:
    """What the exits do to products in each state of modalities, by state.

    Args:
        settings: with fitted exits.
        seen: test products.

    Returns:
        ``products``, ``same_class``, ``accuracy``, ``full_accuracy`` (the lowest and the largest loss over the
        attributes, respectively), ``by_letters`` and ``by_title`` (shares of the products that take an exit).
    """
    cascade = settings.cascade
    assert cascade is not None
    figures = {}
    for state in STATES:
        both = state == "both"
        rows = np.flatnonzero(seen.picture) if both else np.arange(len(seen.picture))
        if not len(rows):
            continue
        full = (seen.full if both else seen.title).labels[rows]
        letters = seen.letters.sure[rows] >= (cascade.letters_threshold if both else cascade.letters_alone_threshold)
        title = both & ~letters & (seen.title.sure[rows] >= cascade.title_threshold)
        answered = np.where(letters[:, None], seen.letters.labels[rows], full)
        answered = np.where(title[:, None], seen.title.labels[rows], answered)
        figures[state] = {
            "products": float(len(rows)),
            "same_class": float((answered == full).mean(axis=0).min()),
            **_accuracies(answered, full, seen.truth[rows]),
            "by_letters": float(letters.mean()),
            "by_title": float(title.mean()),
        }
    return figures


def require_cascade(figures: dict[str, dict[str, float]]) -> None:
    """Refuse a cascade that changes too many answers.

    Raises:
        VerificationError: the gate is missed in a state of modalities, or no product takes an exit.
    """
    for state, each in figures.items():
        if each["same_class"] < MIN_SAME_CLASS or each["full_accuracy"] - each["accuracy"] > MAX_LOSS:
            raise VerificationError(
                f"the cascade answers {each['same_class']:.2%} of the products with {_words(state)} alike "
                f"({MIN_SAME_CLASS:.1%} needed), with an accuracy of {each['accuracy']:.3f} for "
                f"{each['full_accuracy']:.3f}; nothing was archived: build without CASCADE=1 (--cascade)"
            )
    if not any(each["by_letters"] + each["by_title"] for each in figures.values()):
        raise VerificationError(
            "no product takes an exit of the cascade: the validation part is too small or too hard to fit one; nothing "
            "was archived: build without CASCADE=1 (--cascade)"
        )


def see(
    settings: ProductSettings, *, folder: Path, engine: Engine, products: Sequence[Product], truth: NDArray[np.int64]
) -> Seen:
    """Compute all answers to the products that have a title."""
    titled = [row for row, product in enumerate(products) if product.present[1] and len(product.ngrams)]
    kept = [products[row] for row in titled]
    alone = [product._replace(present=np.array([False, True])) for product in kept]
    picture = np.array([bool(product.present[0]) for product in kept], dtype=np.bool_)
    loaded = session(str(folder / LETTERS_GRAPH), 1)
    chunks = [kept[start : start + settings.max_batch] for start in range(0, len(kept), settings.max_batch)]
    letters = [letters_scores(loaded, [product.ngrams for product in chunk], settings) for chunk in chunks]
    return Seen(
        truth[titled],
        picture,
        _answers(np.concatenate(letters), settings),
        _answers(_scores(engine, alone, settings), settings),
        _answers(_scores(engine, kept, settings), settings),
    )


def _scores(engine: Engine, products: Sequence[Product], settings: ProductSettings) -> NDArray[np.float64]:
    size = settings.max_batch
    starts = progress(range(0, len(products), size), description="cascade", unit="batch")
    return np.concatenate(
        [score_batches(engine, products[start : start + size], settings=settings) for start in starts]
    )


def _answers(scores: NDArray[np.float64], settings: ProductSettings) -> Answers:
    return Answers(chosen_labels(scores, settings), confidence(scores, settings))


def _closed(calibration: OneModality) -> Cascade:
    return Cascade(
        letters=calibration, letters_threshold=CLOSED, letters_alone_threshold=CLOSED, title_threshold=CLOSED
    )


def _threshold(early: Answers, full: Answers, among: NDArray[np.bool_], changes: float) -> float:
    """The lowest score from which on early answers may stand, so that at most a share of all answers changes."""
    rows = np.flatnonzero(among & np.isfinite(early.sure))
    order = rows[np.argsort(-early.sure[rows], kind="stable")]
    wrong = np.cumsum((early.labels[order] != full.labels[order]).any(axis=1))
    fine = np.flatnonzero(wrong <= changes * np.count_nonzero(among))
    if not len(fine):
        return CLOSED
    return float(early.sure[order[fine[-1]]])


def _accuracies(answered: NDArray[np.int64], full: NDArray[np.int64], truth: NDArray[np.int64]) -> dict[str, float]:
    """The accuracy of the cascade and of the full model, on the attribute that loses most."""
    pairs = []
    for column in range(truth.shape[1]):
        known = truth[:, column] != MISSING
        if known.any():
            one, other = (float((each[known, column] == truth[known, column]).mean()) for each in (answered, full))
            pairs.append((one, other))
    accuracy, full_accuracy = min(pairs, key=lambda pair: pair[0] - pair[1], default=(1.0, 1.0))
    return {"accuracy": accuracy, "full_accuracy": full_accuracy}


def _words(state: str) -> str:
    return {"both": "picture and title", "text": "a title alone"}[state]
