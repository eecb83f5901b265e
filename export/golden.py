"""Select golden products: real products with expected answers. The archive carries them; the handler checks them."""

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
MIN_MARGIN = 0.2  # between the two best scores; far larger than any engine's rounding

ImageText = tuple[bytes | None, str | None]
Entry = TypeVar("Entry")


def select_golden_products(
    pairs: Sequence[ImageText],
    eager: Forward,
    *,
    truth: Sequence[str],
    preprocessor: ProductPreprocessor,
    settings: ProductSettings,
) -> list[dict[str, Any]]:
    """Select a few products and compute their expected answers, each alone in its batch.

    There are three forms if the model reads both modalities: picture and title, picture only, title only. For each
    form, the trained model answers ``CANDIDATES`` products of as many classes as possible. The products with the
    largest margin between their two best classes are kept, so that rounding on another machine cannot change the label.
    Different labels are preferred: a server that always answers the same label, or confuses its classes, must not pass
    by chance.

    Args:
        pairs: (picture, title) of products.
        eager: the trained model.
        truth: class of each product.
        preprocessor: of the model.
        settings: of the model.

    Returns:
        ``GOLDEN_PER_FORM`` entries ``{"image": base64 JPEG or null, "text", "scores", "labels"}`` for each form.
        ``labels`` has the main attribute first; another attribute is included if its two best scores differ by at least
        ``MIN_MARGIN``.
    """
    golden = []
    for form in _forms(_by_turns(pairs, truth), settings.modalities):
        answers = [_answer(image, text, eager, preprocessor) for image, text in form[:CANDIDATES]]
        answers.sort(key=lambda answer: _margin(answer["scores"][settings.slices[settings.target]]), reverse=True)
        golden += _by_turns(answers, [answer["labels"][settings.target] for answer in answers])[:GOLDEN_PER_FORM]
    return golden


def _by_turns(entries: Sequence[Entry], classes: Iterable[str]) -> list[Entry]:
    """Reorder entries: first one of each class, then a second one of each, and so on; otherwise keep the order."""
    seen = Counter[str]()
    turns = []
    for name in classes:
        turns.append(seen[name])
        seen[name] += 1
    return [entry for _, entry in sorted(zip(turns, entries, strict=True), key=lambda pair: pair[0])]


def _forms(pairs: Sequence[ImageText], modalities: tuple[str, ...]) -> list[list[ImageText]]:
    """Return the candidates of each form that the model reads."""
    both = [pair for pair in pairs if all(pair)]
    image_only: list[ImageText] = [(image, None) for image, _ in pairs if image]
    text_only: list[ImageText] = [(None, text) for _, text in pairs if text]
    single: dict[tuple[str, ...], list[list[ImageText]]] = {("image",): [image_only], ("text",): [text_only]}
    return single.get(modalities, [both, image_only, text_only])


def _answer(image: bytes | None, text: str | None, eager: Forward, preprocessor: ProductPreprocessor) -> dict[str, Any]:
    """The entry of a product; its picture is shrunk to the model's size, so that the archive stays small."""
    if image is not None:
        buffer = io.BytesIO()
        preprocessor.fit(preprocessor.picture(image)).save(buffer, "JPEG", quality=90)
        image = buffer.getvalue()
    batch = collate([preprocessor(image, text)])
    scores = calibrated_scores(eager(batch).astype(np.float64), batch.present, preprocessor.settings)[0]
    return {
        "image": None if image is None else base64.b64encode(image).decode("ascii"),
        "text": text,
        "scores": [float(score) for score in scores],
        "labels": _sure_labels(scores, preprocessor.settings),
    }


def _sure_labels(scores: NDArray[np.float64], settings: ProductSettings) -> dict[str, str]:
    """Return the main attribute's label, and the labels of other attributes that rounding cannot change."""
    chosen = zip(settings.attributes, chosen_labels(scores[None], settings)[0], strict=True)
    return {
        attribute.name: attribute.labels[label]
        for attribute, label in chosen
        if attribute is settings.main or _margin(scores[settings.slices[attribute.name]]) >= MIN_MARGIN
    }


def _margin(scores: Sequence[float] | NDArray[np.float64]) -> float:
    best, second = sorted(scores, reverse=True)[:2]
    return float(best - second)
