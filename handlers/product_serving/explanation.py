"""Explain an answer: a weight for each word, a weight for each picture cell, and the shares of picture and title.

Every weight is a change in the log-odds of the answered class: log(p / (1 - p)), natural logarithm, calibrated p. It is
the weight of evidence of the part that was removed (Robnik-Šikonja and Kononenko 2008, doi:10.1109/TKDE.2007.190734). A
weight of 2.3 means that the part makes the odds ten times better. A negative weight speaks against the class. Unlike a
probability, log-odds do not saturate when the model is confident.

- Word: remove the word from the title and run the model again. The weight is the difference that `/predictions` would
  give for the shorter title.
- Picture cell: start from the features of a white picture, insert the features of this cell and run the head. On a
  linear head this is the class activation map (Zhou et al. 2016, arXiv:1512.04150). We insert cells instead of removing
  them because a head that normalises and saturates hides removals. On 24 real products, with the intermediate model,
  0.70 of the positive weight lay on the product when cells were inserted, and 0.45 when they were removed. The rank
  correlation with whitening 3 x 3 cells of pixels (49 forward passes) was 0.51 and 0.20. A cell's features also depend
  on the pixels around it, so the map is blurred.
- Picture and title: the Shapley value of each, exact for two players (Shapley 1953; Lundberg and Lee 2017,
  arXiv:1705.07874). With neither, all classes are equally likely.

The explained label is the main attribute's, from its own logits.

Cost for one product: one pass of the towers, at most ``MAX_RUNS`` passes of the title's tower, and some 60 of the head.
Together they take no longer than two forward passes. Captum computes the same weights, but needs torch, which the ONNX
path must not load. The tests compare these weights with Captum's.

Legend: B batch, N picture cells, T title tokens, D width of an encoder, C classes.
"""

import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .engines.engine import Parts
from .errors import ProductError
from .preprocessing import Product, ProductPreprocessor, TitleIds, Word, collate
from .settings import ProductSettings, present_modalities

# Limits on runs of the title's tower. In a model without a picture's tower each run costs a whole forward pass.
MAX_RUNS, MAX_RUNS_OF_TITLES = 12, 7
MAX_WORD_CHARS = 100
WEIGHT_DIGITS = 4
Floats = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


class ProductExplainer:
    """Explains the answers of one model.

    Args:
        parts: of the model's graph.
        preprocessor: of the model.
        settings: of the model.
    """

    def __init__(self, parts: Parts, preprocessor: ProductPreprocessor, settings: ProductSettings) -> None:
        self._parts = parts
        self._preprocessor = preprocessor
        self._settings = settings
        self._white = parts.cells(preprocessor.blank()[None])

    def __call__(self, product: Product, text: str | None, label: int) -> dict[str, Any]:
        """Explain one answer.

        Args:
            product: preprocessed.
            text: its title, as sent.
            label: the class to explain.

        Returns:
            ``text``: a weight for each word that the model read, in order, and where the word begins and ends in
            ``text``, in characters. ``image``: a grid of weights over the square
            that the model read, row by row; None without a picture. ``modality``: shares that add up to 1.

        Raises:
            ProductError: ``model_output_invalid``.
        """
        case = _ProductLogOdds(self._parts, self._settings, product, label)
        words = self._preprocessor.words(text) if text is not None and product.present[1] else []
        runs = MAX_RUNS if "image" in self._settings.modalities else MAX_RUNS_OF_TITLES
        weights = _WordWeights(case, words, self._preprocessor.title(text or ""), self._preprocessor)(runs)
        grid = case.cell_weights(self._white) if product.present[0] else None
        return {
            "text": [
                {
                    "token": word.text[:MAX_WORD_CHARS],
                    "weight": _rounded(weight),
                    "begins": word.begins,
                    "ends": word.ends,
                }
                for word, weight in zip(words, weights, strict=True)
            ],
            "image": None if grid is None else {"grid": [[_rounded(weight) for weight in row] for row in grid]},
            "modality": _shares(case),
        }


class _ProductLogOdds:
    """Computes the log-odds of one class for one product, with some of its features changed."""

    def __init__(self, parts: Parts, settings: ProductSettings, product: Product, label: int) -> None:
        self._parts, self._settings, self._label = parts, settings, label
        self._main = settings.slices[settings.target]
        self.nothing = _log_odds(np.zeros((1, len(settings.labels))), label)[0]
        self.product = product
        self._batch = collate([product])
        self._cells = parts.cells(self._batch.image)
        self._tokens = parts.tokens(self._batch.input_ids, self._batch.attention_mask)
        self._lexical = parts.lexical(self._batch.ngrams)
        self.whole = self._of_product(product.present)

    def with_titles(self, titles: Sequence[TitleIds]) -> Floats:
        """(titles,) log-odds of the product with other titles."""
        batch = collate(
            [
                self.product._replace(input_ids=ids, attention_mask=np.ones_like(ids), ngrams=grams)
                for ids, grams in titles
            ]
        )
        tokens = self._parts.tokens(batch.input_ids, batch.attention_mask)
        lexical = self._parts.lexical(batch.ngrams)
        return self._classify(self._cells, tokens, batch.attention_mask, self.product.present, lexical)

    def cell_weights(self, white: NDArray[np.float32]) -> Floats:
        """(h, w): how much each cell alone adds to the log-odds of a white picture."""
        count = self._cells.shape[1]
        grid_size = round(count**0.5)
        cells = np.repeat(white, count + 1, axis=0)  # the last copy stays white
        cells[np.arange(count), np.arange(count)] = self._cells[0]
        odds = self._classify(cells, self._tokens, self._batch.attention_mask, self.product.present, self._lexical)
        weights: Floats = (odds[:-1] - odds[-1]).reshape(grid_size, grid_size)
        return weights

    def alone(self, modality: int) -> float:
        """Log-odds from one modality alone (0 picture, 1 title)."""
        return self._of_product(np.arange(2) == modality)

    def _of_product(self, present: NDArray[np.bool_]) -> float:
        return float(self._classify(self._cells, self._tokens, self._batch.attention_mask, present, self._lexical)[0])

    def _classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
        lexical: NDArray[np.float32],
    ) -> Floats:
        rows = max(len(attention_mask), len(cells))
        logits, _ = self._parts.classify(
            _repeated(cells, rows),
            _repeated(tokens, rows),
            _repeated(attention_mask, rows),
            np.tile(present, (rows, 1)),
            _repeated(lexical, rows),
        )
        if not np.isfinite(logits).all():
            raise ProductError("model_output_invalid", "the model gave no finite scores for a part of this product")
        temperature = self._settings.for_modalities(present_modalities(present)).main.temperature
        return _log_odds(logits[:, self._main] / temperature, self._label)


class _WordWeights:
    """How much each word adds to the log-odds.

    Args:
        case: of the product.
        words: that the model reads, in order.
        title: normalised.
        preprocessor: of the model.
    """

    def __init__(
        self, case: _ProductLogOdds, words: Sequence[Word], title: str, preprocessor: ProductPreprocessor
    ) -> None:
        self._case, self._words, self._preprocessor = case, words, preprocessor
        self._title_words = title.split(" ")

    def __call__(self, runs: int) -> list[float]:
        """A weight for each word, with at most this many runs of the title's towers.

        If there are more words than runs, leave out whole spans first, then parts of the span with the largest weight.
        The words of a span share its weight equally.
        """
        case, count = self._case, len(self._words)
        if count == 1:  # without this word there is no title
            return [case.whole - (case.alone(0) if case.product.present[0] else case.nothing)]
        if count <= runs:
            return self._of_spans([(number, number + 1) for number in range(count)])
        spans = _split(0, count, runs // 2)
        weights = self._of_spans(spans)
        start, stop = max(spans, key=lambda span: abs(sum(weights[slice(*span)])))
        weights[start:stop] = self._of_spans(_split(start, stop, runs - len(spans)))
        return weights

    def _of_spans(self, spans: Sequence[tuple[int, int]]) -> list[float]:
        """Weights of all words in adjacent spans."""
        if not spans:
            return []
        lost = self._case.whole - self._case.with_titles([self._without(*span) for span in spans])
        return [
            float(loss) / (stop - start)
            for (start, stop), loss in zip(spans, lost, strict=True)
            for _ in range(start, stop)
        ]

    def _without(self, start: int, stop: int) -> TitleIds:
        """The ids of the title without the words of a span."""
        left_out = self._words[start:stop]
        tokens = np.delete(self._case.product.input_ids, np.arange(left_out[0].start, left_out[-1].stop))
        places = {word.place for word in left_out}
        rest = " ".join(word for place, word in enumerate(self._title_words) if place not in places)
        return TitleIds(tokens, self._preprocessor.ngrams(rest))


def _split(start: int, stop: int, count: int) -> list[tuple[int, int]]:
    """Split a range into at most ``count`` spans of nearly equal length."""
    edges = np.linspace(start, stop, min(count, stop - start) + 1).round().astype(int).tolist()
    return list(itertools.pairwise(edges))


def _shares(case: _ProductLogOdds) -> dict[str, float]:
    """Shares of picture and title in the log-odds; they add up to 1. A negative contribution has share 0."""
    if not case.product.present.all():
        image, text = case.product.present.astype(float)
        return {"image": float(image), "text": float(text)}
    image_alone, text_alone = (case.alone(modality) - case.nothing for modality in (0, 1))
    both = case.whole - case.nothing
    values = np.maximum([image_alone + both - text_alone, text_alone + both - image_alone], 0)
    share = float(values[0] / values.sum()) if values.sum() > 0 else 0.5
    return {"image": _rounded(share), "text": _rounded(1 - share)}


def _repeated(array: NDArray[Scalar], rows: int) -> NDArray[Scalar]:
    """Repeat a single row; return an array with any other number of rows unchanged."""
    return np.repeat(array, rows, axis=0) if len(array) == 1 else array


def _log_odds(logits: NDArray[Any], label: int) -> Floats:
    """(B, C) logits -> (B,) log-odds of one class: finite even if p rounds to 1, and 0 if there is no other class."""
    others = np.delete(logits.astype(np.float64), label, axis=1)
    if not others.size:
        return np.zeros(len(logits))
    highest = others.max(axis=1)
    rest = highest + np.log(np.exp(others - highest[:, None]).sum(axis=1))
    odds: Floats = logits[:, label] - rest
    return odds


def _rounded(weight: float) -> float:
    return round(float(weight), WEIGHT_DIGITS) + 0.0  # no negative zero
