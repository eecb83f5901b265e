"""Formats errors as sentences for the page."""

import re

from markupsafe import Markup, escape

from client.api.errors import ClientError, ServerError, TokenError
from handlers.product_serving.errors import ERROR_CODES, ProductError
from training.catalog import CatalogError
from training.system.storage import StorageError

EXPECTED = (ClientError, CatalogError, ProductError, StorageError)
_FIELDS = {"image: ": "The picture: ", "text: ": "The title: "}
_CODE = re.compile(r"`([^`]+)`")


def sentence(error: Exception) -> Markup:
    """An error as HTML: a sentence with a capital and a full stop, its commands in ``<code>``.

    Args:
        error: one of :data:`EXPECTED`.
    """
    text = _text(error).strip().rstrip(".")
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(f"{text[:1].upper()}{text[1:]}."))))


def _text(error: Exception) -> str:
    if isinstance(error, TokenError):
        return f"the server refuses the page's token: {error}"
    if not isinstance(error, ServerError | ProductError) or error.type not in ERROR_CODES:
        return str(error)
    field = next((name for name in _FIELDS if error.message.startswith(name)), "")
    return _FIELDS.get(field, "") + error.message.removeprefix(field)
