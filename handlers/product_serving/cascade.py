"""Answer a product whose title says enough before all towers are computed.

1. The lexical model reads the letters of each title, in some 0.1 ms. A score of at least a threshold stands.
2. For a product with a picture, the fusion answers the title alone. A score of at least another threshold stands.
3. All other products are computed in full; only their pictures are decoded.

The export fits the thresholds and measures on real products that nearly all answers keep their class
(:mod:`export.cascade`). A server meets other products, so it computes one of :attr:`Cascade.sample` in full all the
same and compares: :class:`AgreementWatch`.

Legend: N products, C classes of all attributes together.
"""

import itertools
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .engines.engine import Engine
from .engines.onnx import ARGUMENTS, session
from .errors import ProductError, run_step
from .hierarchy import attribute_scores, chosen_labels
from .preprocessing import Product, padded
from .request import ProductFields
from .scores import Scored, score_products
from .settings import Cascade, ProductSettings
from .titles.ngrams import PADDING

logger = logging.getLogger(__name__)
LETTERS_GRAPH = "model.letters.onnx"
LETTERS, TITLE = ("lexical",), ("lexical", "text")
WINDOW, LEAST = 1000, 500  # comparisons
SLACK = 3.0  # standard errors below the least agreement at which the exits shut


class Opened(NamedTuple):
    """A product of which only the letters of the title are read so far, and the header of the picture.

    Args:
        fields: as sent.
        ngrams: (G,) ids of the title's letters, at least one.
        early: the answer that stands; None if the product needs more.
        sampled: compute it in full all the same, and compare.
    """

    fields: ProductFields
    ngrams: NDArray[np.int64]
    early: Scored | None = None
    sampled: bool = False

    @property
    def present(self) -> NDArray[np.bool_]:
        """(2,) has a picture, has a title."""
        return np.array([self.fields.image is not None, True])


Kept = TypeVar("Kept")


class EarlyExits:
    """The exits of one model.

    Args:
        folder: holds ``model.letters.onnx``.
        settings: with a cascade.
        engine: answers titles.
        count: called with the number of equal and different answers that were compared, and whether the exits are open.
    """

    def __init__(
        self, folder: Path, settings: ProductSettings, engine: Engine, count: Callable[[int, int, bool], None]
    ) -> None:
        assert settings.cascade is not None
        self._count = count
        self.watch = AgreementWatch(settings.cascade)
        self._cascade, self._settings, self._engine = settings.cascade, settings, engine
        self._session = session(str(folder / LETTERS_GRAPH), 1)

    def by_letters(self, products: Sequence[Opened | Kept]) -> list[Opened | Kept]:
        """Add the lexical model's answers that may stand; none if it fails. Safe to call from several threads."""
        places = [place for place, product in enumerate(products) if isinstance(product, Opened)]
        opened = [product for product in products if isinstance(product, Opened)]
        answered: list[Opened | Kept] = list(products)
        if not opened:
            return answered
        try:
            scores = letters_scores(self._session, [product.ngrams for product in opened], self._settings)
        except Exception as error:  # ONNX Runtime's errors share no base class; the engine may still answer
            logger.error("the lexical model failed with %s; these products are computed in full", type(error).__name__)
            return answered
        cascade = self._cascade
        for place, product, row, sure in zip(
            places, opened, scores, confidence(scores, self._settings).tolist(), strict=True
        ):
            picture = product.fields.image is not None
            stands = sure >= (cascade.letters_threshold if picture else cascade.letters_alone_threshold)
            early = Scored(row, product.present, computed=LETTERS) if stands else None
            answered[place] = product._replace(early=early, sampled=self.watch.sampled())
        return answered

    def answered(
        self, products: Sequence[Opened], title_only: Callable[[ProductFields], Product]
    ) -> list[Scored | None]:
        """The early answer to each product: by its letters, or else by its title alone; None if neither may stand."""
        answers = [product.early for product in products]
        if self._cascade.title_threshold > 1:
            return answers
        undecided = [
            place
            for place, product in enumerate(products)
            if answers[place] is None and product.fields.image is not None
        ]
        titles = [run_step(title_only, products[place].fields) for place in undecided]
        valid = [
            (place, title)
            for place, title in zip(undecided, titles, strict=True)
            if isinstance(title, Product) and title.present[1]
        ]
        scored = score_products(self._engine, [title for _, title in valid], settings=self._settings)
        for (place, _), answer in zip(valid, scored, strict=True):
            if isinstance(answer, Scored):
                sure = confidence(answer.scores[None], self._settings)[0]
                if sure >= self._cascade.title_threshold:
                    answers[place] = Scored(answer.scores, products[place].present, computed=TITLE)
        return answers

    def compare(self, answers: Sequence[tuple[Scored | None, Scored | ProductError]]) -> None:
        """Watch sampled products: early answers, None if there is none, and full ones."""
        same = [
            early is None or bool((labels(early, self._settings) == labels(full, self._settings)).all())
            for early, full in answers
            if isinstance(full, Scored)
        ]
        if same:
            self.watch.record(same)
            self._count(same.count(True), same.count(False), self.watch.open)


def letters_scores(
    loaded: object, ngrams: Sequence[NDArray[np.int64]], settings: ProductSettings
) -> NDArray[np.float64]:
    """Titles' ids -> (N, C) calibrated scores of the lexical model.

    Args:
        loaded: an ONNX Runtime session of ``model.letters.onnx``.
        ngrams: of N titles.
        settings: with a cascade.
    """
    [name] = ARGUMENTS["letters"]
    [logits] = loaded.run(None, {name: padded(ngrams, filler=PADDING)})  # type: ignore[attr-defined]
    return attribute_scores(logits.astype(np.float64), settings.of_letters)


def confidence(scores: NDArray[np.float64], settings: ProductSettings) -> NDArray[np.float64]:
    """(N, C) -> (N,): the score of the least certain attribute; NaN for an answer that is not finite."""
    lowest: NDArray[np.float64] = np.maximum.reduceat(scores, settings.starts, axis=1).min(axis=1)
    return lowest


class AgreementWatch:
    """Compares early answers with full ones; shuts the exits when they disagree too often, and opens them again.

    The exits shut if fewer of the last ``WINDOW`` comparisons agree than ``min_agreement`` allows, by ``SLACK``
    standard errors, and open after ``LEAST`` new comparisons of which enough agree.

    Args:
        cascade: the sample and the least agreement.
    """

    def __init__(self, cascade: Cascade) -> None:
        self._cascade = cascade
        self._count = itertools.count(1)
        self._agreed: deque[bool] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()
        self.open = True

    def sampled(self) -> bool:
        """True for one of ``sample`` products, and for all while the exits are shut."""
        return not self.open or next(self._count) % self._cascade.sample == 0

    def record(self, agreed: Iterable[bool]) -> None:
        """Count comparisons: True if the early answer and the full one have the same classes."""
        with self._lock:
            for each in agreed:
                self._record(each)

    def _record(self, same: bool) -> None:
        self._agreed.append(same)
        count, wrong, allowed = len(self._agreed), self._agreed.count(False), 1 - self._cascade.min_agreement
        if count < LEAST:
            return
        if self.open and wrong > count * allowed + SLACK * math.sqrt(count * allowed * (1 - allowed)):
            self.open = False
            self._agreed.clear()
            logger.warning("the exits shut: %d of %d early answers differ from the full ones", wrong, count)
        elif not self.open and wrong <= count * allowed:
            self.open = True
            logger.warning("the exits open again: %d of %d early answers differ from the full ones", wrong, count)


def labels(scored: Scored, settings: ProductSettings) -> NDArray[np.int64]:
    """(A,) the labels of an answer."""
    chosen: NDArray[np.int64] = chosen_labels(scored.scores[None], settings)[0]
    return chosen
