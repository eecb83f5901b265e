"""What decided an answer: which words, which part of the picture, and how much each of the two counts.

Everything is measured in one unit, the log-odds of the answered class, log(p / (1 - p)) with natural logarithm and
calibrated p: its change when something is taken away is the weight of evidence of what was taken (Robnik-Šikonja and
Kononenko 2008, doi:10.1109/TKDE.2007.190734). 2.3 means that the odds are ten times better with it than without;
negative speaks against the class. Unlike a probability it does not saturate where the model is sure.

- A word: the title again without it, so its weight is what `/predictions` would answer otherwise to the shorter title.
- A cell of the picture: the head, given a white picture's features but for that cell, against all of them white. On a
  linear head that is the class activation map (Zhou et al. 2016, arXiv:1512.04150). Putting cells in finds the product
  also where a head normalises and saturates; taking them out did not: on 24 real products, of the intermediate model's
  positive weight .70 lay on the product against .45, and the rank correlation with whiting out the pixels of 3 x 3
  cells, which takes 49 forward passes, was .51 against .20. A cell is blurred by what it sees around it.
- Picture and title: the Shapley value of either, exact for two players (Shapley 1953; Lundberg and Lee 2017,
  arXiv:1705.07874); where nothing is known, all classes are equally likely.

The label is that of the main attribute, by its logits alone.

Cost, in forward passes of one product: one of the towers, at most ``MAX_RUNS`` of the title's tower, and some 60 of the
head, which together take no more than two. Captum has the same measures, but on torch alone, which the ONNX path must
not load; the tests hold these numbers to Captum's.

Legend: B batch, N picture cells, T title tokens, D width of an encoder, C classes.
"""

import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .engines.engine import Parts
from .errors import ProductError
from .preprocessing import Product, ProductPreprocessor, Word, collate
from .settings import ProductSettings, modalities_read

# Runs of the title's tower: where it is the whole model each costs a forward pass, beside a picture's tower less.
MAX_RUNS, MAX_RUNS_OF_TITLES = 12, 7
MAX_WORD_CHARS = 100
WEIGHT_DIGITS = 4
Floats = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


class ProductExplainer:
    """Explains answers of one model.

    Args:
        parts: of its graph.
        preprocessor: of the model.
        settings: of the model.
    """

    def __init__(self, parts: Parts, preprocessor: ProductPreprocessor, settings: ProductSettings) -> None:
        self._parts = parts
        self._preprocessor = preprocessor
        self._settings = settings
        self._white = parts.cells(preprocessor.blank()[None])

    def __call__(self, product: Product, text: str | None, label: int) -> dict[str, Any]:
        """Explain why a product got a label.

        Args:
            product: as the model read it.
            text: its title, as sent.
            label: the class to explain.

        Returns:
            ``text``, a weight for each word that the model read, in order; ``image``, a grid of weights over the square
            that it read, row by row, or None; ``modality``, shares that add up to 1.

        Raises:
            ProductError: ``model_output_invalid``.
        """
        case = _Case(self._parts, self._settings, product, label)
        words = self._preprocessor.words(text) if text is not None and product.present[1] else []
        runs = MAX_RUNS if "image" in self._settings.modalities else MAX_RUNS_OF_TITLES
        weights = _word_weights(case, words, runs)
        grid = case.cell_weights(self._white) if product.present[0] else None
        return {
            "text": [
                {"token": word.text[:MAX_WORD_CHARS], "weight": _rounded(weight)}
                for word, weight in zip(words, weights, strict=True)
            ],
            "image": None if grid is None else {"grid": [[_rounded(weight) for weight in row] for row in grid]},
            "modality": _shares(case),
        }


class _Case:
    """One product's features, and the log-odds of one class when some of them are changed."""

    def __init__(self, parts: Parts, settings: ProductSettings, product: Product, label: int) -> None:
        self._parts, self._settings, self._label = parts, settings, label
        self._main = settings.slices[settings.target]
        self.nothing = _log_odds(np.zeros((1, len(settings.labels))), label)[0]
        self.product = product
        self._batch = collate([product])
        self._cells = parts.cells(self._batch.image)
        self._tokens = parts.tokens(self._batch.input_ids, self._batch.attention_mask)
        self.whole = float(self._classify(self._cells, self._tokens, self._batch.attention_mask, product.present)[0])

    def without_words(self, spans: Sequence[tuple[int, int]]) -> Floats:
        """Log-odds (spans,) of the title without the tokens of a span, each span on its own."""
        kept = [np.delete(self.product.input_ids, np.arange(*span)) for span in spans]
        batch = collate([self.product._replace(input_ids=ids, attention_mask=np.ones_like(ids)) for ids in kept])
        tokens = self._parts.tokens(batch.input_ids, batch.attention_mask)
        return self._classify(self._cells, tokens, batch.attention_mask, self.product.present)

    def cell_weights(self, white: NDArray[np.float32]) -> Floats:
        """(h, w): what each cell adds to the log-odds of a picture that is white but for it."""
        count = self._cells.shape[1]
        side = round(count**0.5)
        cells = np.repeat(white, count + 1, axis=0)  # the last one stays white
        cells[np.arange(count), np.arange(count)] = self._cells[0]
        odds = self._classify(cells, self._tokens, self._batch.attention_mask, self.product.present)
        weights: Floats = (odds[:-1] - odds[-1]).reshape(side, side)
        return weights

    def alone(self, modality: int) -> float:
        """Log-odds where one side is the only one."""
        present = np.arange(2) == modality
        return float(self._classify(self._cells, self._tokens, self._batch.attention_mask, present)[0])

    def _classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> Floats:
        rows = max(len(attention_mask), len(cells))
        mask = _repeated(attention_mask, rows)
        logits = self._parts.classify(
            _repeated(cells, rows), _repeated(tokens, rows), mask, np.tile(present, (rows, 1))
        )
        if not np.isfinite(logits).all():
            raise ProductError("model_output_invalid", "the model gave no finite scores for a part of this product")
        temperature = self._settings.reading(modalities_read(present)).main.temperature
        return _log_odds(logits[:, self._main] / temperature, self._label)


def _word_weights(case: _Case, words: Sequence[Word], runs: int) -> list[float]:
    """What each word adds to the log-odds.

    Of a title with more words than runs, whole spans are left out first, and then parts of the span that counts most;
    the words of a span share its weight evenly.
    """
    if len(words) == 1:  # without it there is no title
        return [case.whole - (case.alone(0) if case.product.present[0] else case.nothing)]
    if len(words) <= runs:
        return _span_weights(case, words, [(number, number + 1) for number in range(len(words))])
    spans = _split(0, len(words), runs // 2)
    weights = _span_weights(case, words, spans)
    start, stop = max(spans, key=lambda span: abs(sum(weights[slice(*span)])))
    parts = _split(start, stop, runs - len(spans))
    weights[start:stop] = _span_weights(case, words, parts)
    return weights


def _split(start: int, stop: int, count: int) -> list[tuple[int, int]]:
    """At most ``count`` spans of nearly equal length."""
    edges = np.linspace(start, stop, min(count, stop - start) + 1).round().astype(int).tolist()
    return list(itertools.pairwise(edges))


def _span_weights(case: _Case, words: Sequence[Word], spans: Sequence[tuple[int, int]]) -> list[float]:
    """The weight of every word in the spans, which follow each other."""
    if not spans:
        return []
    tokens = [(words[start].start, words[stop - 1].stop) for start, stop in spans]
    lost = case.whole - case.without_words(tokens)
    return [
        float(loss) / (stop - start)
        for (start, stop), loss in zip(spans, lost, strict=True)
        for _ in range(start, stop)
    ]


def _shares(case: _Case) -> dict[str, float]:
    """What picture and title add to the log-odds, as shares of 1; what speaks against the class has none."""
    if not case.product.present.all():
        image, text = case.product.present.astype(float)
        return {"image": float(image), "text": float(text)}
    image_alone, text_alone = (case.alone(side) - case.nothing for side in (0, 1))
    both = case.whole - case.nothing
    values = np.maximum([image_alone + both - text_alone, text_alone + both - image_alone], 0)
    share = float(values[0] / values.sum()) if values.sum() > 0 else 0.5
    return {"image": _rounded(share), "text": _rounded(1 - share)}


def _repeated(array: NDArray[Scalar], rows: int) -> NDArray[Scalar]:
    """One row as often as asked for; what has as many rows, or none, stays."""
    return np.repeat(array, rows, axis=0) if len(array) == 1 else array


def _log_odds(logits: NDArray[Any], label: int) -> Floats:
    """(B, C) logits -> (B,) log of p / (1 - p) of one class, finite also where p rounds to 1; 0 of an only class."""
    others = np.delete(logits.astype(np.float64), label, axis=1)
    if not others.size:
        return np.zeros(len(logits))
    highest = others.max(axis=1)
    rest = highest + np.log(np.exp(others - highest[:, None]).sum(axis=1))
    odds: Floats = logits[:, label] - rest
    return odds


def _rounded(weight: float) -> float:
    return round(float(weight), WEIGHT_DIGITS) + 0.0  # no negative zero
