"""The simple baseline that every network has to beat: TF-IDF of words and word pairs and a linear SVM on the title."""

import re
from collections.abc import Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC


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
