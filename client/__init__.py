"""Clients of a running server: ``python -m client --help`` on the command line, ``ProductClient`` in Python."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.api.errors import ClientError, ServerError
    from client.api.inference import Product, ProductClient
    from client.api.predictions import Explanation, Prediction

_HOMES = {
    "client.api.errors": ("ClientError", "ServerError"),
    "client.api.inference": ("Product", "ProductClient"),
    "client.api.predictions": ("Explanation", "Prediction"),
}
__all__ = ["ClientError", "Explanation", "Prediction", "Product", "ProductClient", "ServerError"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line needs no HTTP client to print its help."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
