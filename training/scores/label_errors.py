"""Find labels that are probably wrong, by confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068).

It needs predictions for products on which the models were not trained. cleanlab implements the method.
Legend: N predictions, P products, C classes.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


class LabelledAnswers(NamedTuple):
    """Predictions for products with labels on which the model was not trained.

    Args:
        ids: (N,) product ids.
        labels: (N,) classes in the catalogue.
        probabilities: (N, C); rows sum to 1.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class Suspect(NamedTuple):
    """A product whose label is probably wrong.

    Args:
        given: its class in the catalogue.
        suggested: the most probable class.
        quality: probability of the given class, 0..1; low values are suspect.
        confidence: probability of the suggested class.
        answers: number of predictions that were averaged.
    """

    product: str
    given: int
    suggested: int
    quality: float
    confidence: float
    answers: int


def average_answers(answers: Sequence[LabelledAnswers]) -> tuple[LabelledAnswers, NDArray[np.int64]]:
    """Average all predictions for the same product and label.

    Returns:
        P averaged predictions, and (P,) the number of predictions in each.
    """
    labels = np.concatenate([each.labels for each in answers])
    probabilities = np.concatenate([each.probabilities for each in answers])
    names, numbers = np.unique(np.concatenate([each.ids for each in answers]), return_inverse=True)
    classes = probabilities.shape[1]
    keys, which, counts = np.unique(numbers * classes + labels, return_inverse=True, return_counts=True)
    table = csr_array((np.ones(len(which)), (which, np.arange(len(which)))), shape=(len(keys), len(which)))
    means = (np.asarray(table @ probabilities) / counts[:, None]).astype(np.float32)
    return LabelledAnswers(names[keys // classes], keys % classes, means), counts


def find_suspects(answers: Sequence[LabelledAnswers]) -> list[Suspect]:
    """Products whose label is probably wrong, the most suspect first.

    Args:
        answers: of the validation and test parts of one or more runs with the same classes.
    """
    # Imported here because it takes two seconds.
    from cleanlab.filter import find_label_issues  # noqa: PLC0415
    from cleanlab.rank import get_label_quality_scores  # noqa: PLC0415

    products, counts = average_answers(answers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="May not flag all label issues")  # a class of few products
        flagged = find_label_issues(products.labels, products.probabilities, n_jobs=1)
    quality = get_label_quality_scores(products.labels, products.probabilities, method="self_confidence")
    suggested = products.probabilities.argmax(1)
    rows = np.flatnonzero(flagged & (suggested != products.labels))
    return [
        Suspect(
            product=str(products.ids[row]),
            given=int(products.labels[row]),
            suggested=int(suggested[row]),
            quality=float(quality[row]),
            confidence=float(products.probabilities[row, suggested[row]]),
            answers=int(counts[row]),
        )
        for row in rows[np.argsort(quality[rows], kind="stable")]
    ]
