"""A product classifier as a package: answers and errors are those of the verified archive that it was made from.

    from product_model import load

    model = load()
    [answer] = model.predict([{"image": open("shoe.jpg", "rb").read(), "text": "Red Canvas Shoe"}])

``answer`` is the JSON object of the HTTP API, or a ``ProductError`` with ``code``, ``type`` and ``message``.
"""

from pathlib import Path

from .product_serving.errors import ProductError
from .product_serving.standalone.predictor import Predictor, Reply, Request

__all__ = ["Predictor", "ProductError", "Reply", "Request", "load"]


def load(*, workers: int = 1, gpu: int | None = None) -> Predictor:
    """Load the model; it is refused if a file has changed or a golden product gets another answer.

    Args:
        workers: processes that load it on this machine; they share the cores.
        gpu: number of the GPU to use; None uses none.
    """
    return Predictor(Path(__file__).parent, workers=workers, gpu=gpu)
