"""A few real products with their expected answers, shipped in the archive: what the handler checks when it loads."""

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from export.verify import Forward
from handlers.product_serving.calibration import calibrated_scores
from handlers.product_serving.hierarchy import chosen_labels
from handlers.product_serving.preprocessing import ProductPreprocessor, collate
from handlers.product_serving.settings import ProductSettings

CANDIDATES = 8
GOLDEN_PER_FORM = 2
SURE = 0.2  # between the two best scores: far more than what an engine rounds

Pair = tuple[bytes | None, str | None]
Entry = TypeVar("Entry")


def golden_products(
    pairs: Sequence[Pair],
    eager: Forward,
    *,
    truth: Sequence[str],
    preprocessor: ProductPreprocessor,
    settings: ProductSettings,
) -> list[dict[str, Any]]:
    """Answers to a few products, alone in their batch: with both sides, and with either one where the model reads both.

    Of ``CANDIDATES`` of each form, of as many classes as there are, those are kept whose two best classes lie furthest
    apart, so that rounding on another machine cannot flip an expected label; and no label twice while there is another
    one, since a server that always says the same, or has its classes mixed up, must not be right by chance.

    Args:
        pairs: (picture, title) of products.
        eager: the trained model, which answers them.
        truth: class of each product.
        preprocessor: of the model.
        settings: of the model.

    Returns:
        ``{"image": base64 JPEG or null, "text", "scores", "labels"}``, ``GOLDEN_PER_FORM`` of each form. ``labels`` are
        by attribute: the main one first, of the others those whose two best scores lie ``SURE`` apart.
    """
    golden = []
    for form in _forms(_varied(pairs, truth), settings.modalities):
        answers = [
            _answer(_shrunk(image, preprocessor), text, eager, preprocessor=preprocessor, settings=settings)
            for image, text in form[:CANDIDATES]
        ]
        answers.sort(key=lambda answer: _margin(answer["scores"][settings.slices[settings.target]]), reverse=True)
        golden += _varied(answers, [answer["labels"][settings.target] for answer in answers])[:GOLDEN_PER_FORM]
    return golden


def _varied(entries: Sequence[Entry], classes: Iterable[str]) -> list[Entry]:
    """The first of each class, then the second of each, and so on, otherwise in their order."""
    met = Counter[str]()
    turns = []
    for name in classes:
        turns.append(met[name])
        met[name] += 1
    return [entry for _, entry in sorted(zip(turns, entries, strict=True), key=lambda pair: pair[0])]


def _forms(pairs: Sequence[Pair], modalities: tuple[str, ...]) -> list[list[Pair]]:
    """Candidates by what they hold, for each form that the model reads."""
    both = [pair for pair in pairs if all(pair)]
    image_only: list[Pair] = [(image, None) for image, _ in pairs if image]
    text_only: list[Pair] = [(None, text) for _, text in pairs if text]
    if modalities == ("image",):
        return [image_only]
    if modalities == ("text",):
        return [text_only]
    return [both, image_only, text_only]


def _shrunk(image: bytes | None, preprocessor: ProductPreprocessor) -> bytes | None:
    """The picture at the model's size, so that an archive does not carry photographs of megabytes."""
    if image is None:
        return None
    buffer = io.BytesIO()
    preprocessor.fit(preprocessor.picture(image)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _answer(
    image: bytes | None,
    text: str | None,
    eager: Forward,
    *,
    preprocessor: ProductPreprocessor,
    settings: ProductSettings,
) -> dict[str, Any]:
    batch = collate([preprocessor(image, text)])
    scores = calibrated_scores(eager(batch).astype(np.float64), batch.present, settings)[0]
    return {
        "image": None if image is None else base64.b64encode(image).decode("ascii"),
        "text": text,
        "scores": [float(score) for score in scores],
        "labels": _sure_labels(scores, settings),
    }


def _sure_labels(scores: NDArray[np.float64], settings: ProductSettings) -> dict[str, str]:
    """The main attribute's label, and those of others that no rounding can flip."""
    chosen = zip(settings.attributes, chosen_labels(scores[None], settings)[0], strict=True)
    return {
        attribute.name: attribute.labels[label]
        for attribute, label in chosen
        if attribute is settings.main or _margin(scores[settings.slices[attribute.name]]) >= SURE
    }


def _margin(scores: Sequence[float] | NDArray[np.float64]) -> float:
    best, second = sorted(scores, reverse=True)[:2]
    return float(best - second)
