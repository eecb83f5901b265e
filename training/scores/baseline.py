"""The simple baseline that every network has to beat: TF-IDF of words and word pairs and a linear SVM on the title."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from training.data.attributes import MISSING


def fit_predict(train_titles: Sequence[str], train_labels: Sequence[str], test_titles: Sequence[str]) -> list[str]:
    """Fit on the training titles, answer the others.

    Args:
        train_titles: N titles; empty ones are fine.
        train_labels: N labels.
        test_titles: M titles.

    Returns:
        M labels.
    """
    # Words of one letter (a size, a cup) tell categories apart, and an empty vocabulary would be an error.
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    titles = [title if re.search(r"\w", title) else "untitled" for title in train_titles]
    model = make_pipeline(vectorizer, LinearSVC(random_state=0)).fit(titles, list(train_labels))
    return [str(label) for label in model.predict(list(test_titles))]


def attribute_predictions(
    train_titles: Sequence[str], targets: NDArray[np.int64], test_titles: Sequence[str]
) -> NDArray[np.int64]:
    """The same for several attributes, each fitted on the titles whose product has a value.

    Args:
        train_titles: N titles.
        targets: (N, A) classes, ``MISSING`` for no value.
        test_titles: M titles.

    Returns:
        (M, A) classes.
    """
    titles = np.array(train_titles, dtype=object)
    columns = [
        fit_predict(titles[known].tolist(), classes[known].astype(str).tolist(), test_titles)
        for classes in targets.T
        for known in [classes != MISSING]
    ]
    return np.array(columns, dtype=np.int64).reshape(targets.shape[1], len(test_titles)).T
