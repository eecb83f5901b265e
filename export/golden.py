"""A few real products with their expected answers, shipped in the archive: what the handler checks when it loads."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from export.verify import Engine
from handlers.preprocessing import ProductPreprocessor, collate
from handlers.settings import ProductSettings

GOLDEN_PRODUCTS = 6
MIN_MARGIN = 0.05


def golden_products(
    pairs: Sequence[tuple[bytes | None, str | None]],
    engine: Engine,
    *,
    preprocessor: ProductPreprocessor,
    settings: ProductSettings,
) -> list[dict[str, Any]]:
    """Answers to a few products, alone in their batch.

    Args:
        pairs: (picture, title) of candidates, in order of preference.
        engine: answers them; eager PyTorch.
        preprocessor: of the model.
        settings: of the model.

    Returns:
        At most ``GOLDEN_PRODUCTS`` entries ``{"image": base64 JPEG or null, "text", "label", "score", "scores"}``, some
        without a picture and some without a title where the model reads both. Answers whose two best classes are nearly
        tied are passed over while others are left, so that rounding cannot flip an expected label.
    """
    entries = [
        _answer(_shrunk(image, preprocessor), text, engine, preprocessor=preprocessor, settings=settings)
        for image, text in _varied(pairs, settings.modalities)
    ]
    entries.sort(key=lambda entry: _margin(entry) < MIN_MARGIN)  # stable: clear answers first
    return entries[:GOLDEN_PRODUCTS]


def _varied(
    pairs: Sequence[tuple[bytes | None, str | None]], modalities: tuple[str, ...]
) -> list[tuple[bytes | None, str | None]]:
    """Candidates with what the model needs; for a model of both modalities, each in turn as sent, alone and alone."""
    if len(modalities) == 1:
        column = 0 if modalities == ("image",) else 1
        return [pair for pair in pairs if pair[column]]
    varied: list[tuple[bytes | None, str | None]] = []
    for image, text in pairs:
        turn = len(varied) % 3
        if image and text and turn:
            varied.append((image, None) if turn == 1 else (None, text))
        else:
            varied.append((image, text))
    return varied


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
    engine: Engine,
    *,
    preprocessor: ProductPreprocessor,
    settings: ProductSettings,
) -> dict[str, Any]:
    logits = engine(collate([preprocessor(image, text)]))[0]
    scores = softmax(logits.astype(np.float64) / settings.temperature)
    return {
        "image": None if image is None else base64.b64encode(image).decode("ascii"),
        "text": text,
        "label": settings.labels[int(scores.argmax())],
        "score": float(scores.max()),
        "scores": [float(score) for score in scores],
    }


def _margin(entry: dict[str, Any]) -> float:
    best, second = sorted(entry["scores"], reverse=True)[:2]
    return float(best - second)
