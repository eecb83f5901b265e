"""The baseline: TF-IDF of the title's words, word pairs and character n-grams, with a linear SVM.

Character n-grams make it the stronger of two baselines: on 40,000 products of 142 classes it was right for 97.1 % of
the titles, and for 80 % of those with 20 % typos; words and pairs alone were right for 96.6 and 50 % (design study,
one seed, November 2026).
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from training.data.attributes import MISSING


def fit_predict(
    train_titles: Sequence[str], targets: NDArray[np.int64], test_titles: Sequence[str]
) -> NDArray[np.int64]:
    """Fit each attribute on the training titles whose product has a value, and predict the test titles.

    Args:
        train_titles: N titles; they may be empty.
        targets: (N, A) classes, ``MISSING`` for no value.
        test_titles: M titles.

    Returns:
        (M, A) classes.
    """
    titles = np.array([title if re.search(r"\w", title) else "untitled" for title in train_titles], dtype=object)
    predicted = np.empty((len(test_titles), targets.shape[1]), dtype=np.int64)
    for place, classes in enumerate(targets.T):
        known = classes != MISSING
        # Words of one letter, such as sizes, help to classify; and scikit-learn refuses an empty vocabulary.
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        letters = TfidfVectorizer(ngram_range=(2, 5), sublinear_tf=True, analyzer="char_wb")
        model = make_pipeline(make_union(words, letters), LinearSVC(random_state=0))
        model.fit(titles[known].tolist(), classes[known])
        predicted[:, place] = model.predict(list(test_titles))
    return predicted
