"""Errors of one product: one exception class with an HTTP status and a stable type.

A message names the field and the expected value. It never holds the caller's text, a path or a traceback.
"""

import logging
import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, ParamSpec, TypeVar

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

ERROR_CODES: dict[str, int] = {
    "missing_field": 400,
    "unknown_field": 400,
    "invalid_json": 400,
    "invalid_base64": 400,
    "invalid_text": 400,
    "out_of_range": 400,
    "image_too_large": 413,
    "text_too_long": 413,
    "too_many_instances": 413,
    "unsupported_image": 415,
    "image_corrupt": 422,
    "image_empty": 422,
    "image_bad_shape": 422,
    "model_output_invalid": 500,
    "internal_error": 500,
    "out_of_memory": 507,
}

# Out-of-memory messages of PyTorch, CUDA, ONNX Runtime and C++. Their exceptions share no class.
_OUT_OF_MEMORY = ("outofmemory", "out of memory", "allocate memory", "bad_alloc", "bad allocation")


class ProductError(ValueError):
    """One product cannot be answered.

    Args:
        type: a key of ``ERROR_CODES``.
        message: names the field and the expected value, for the caller.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type
        self.code = ERROR_CODES[type]
        self.message = message

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the answer's JSON object."""
        return {"code": self.code, "type": self.type, "message": self.message}


def run_step(step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | ProductError:
    """Run one step for one product; return an exception as that product's error, so that the others still succeed."""
    try:
        return step(*args, **kwargs)
    except ProductError as error:
        return error
    except Exception as error:  # a bug; its text may quote the caller, so it is not logged
        if is_out_of_memory(error):
            return ProductError("out_of_memory", "not enough memory for this product; send less")
        logger.error("a product failed with %s", _error_location(error))
        return ProductError("internal_error", "this product could not be processed")


def is_out_of_memory(error: Exception) -> bool:
    """Tell an out-of-memory error, from Python, a library or an engine, from other errors."""
    words = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(sign in words for sign in _OUT_OF_MEMORY)


def _error_location(error: Exception) -> str:
    """Return the exception's class and the file and line that raised it, without its text."""
    *_, last = (None, *traceback.walk_tb(error.__traceback__))
    if last is None:
        return type(error).__name__
    return f"{type(error).__name__} at {PurePath(last[0].f_code.co_filename).name}:{last[1]}"
