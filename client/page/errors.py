"""Shows the error of a click as a sentence on the page."""

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from markupsafe import Markup, escape

from client.api.errors import ClientError, ServerError, TokenError
from client.page.rendering import render
from handlers.product_serving.errors import ERROR_CODES, ProductError
from training.catalog import CatalogError
from training.system.storage import StorageError

EXPECTED = (ClientError, CatalogError, ProductError, StorageError)
_FIELDS = {"image: ": "The picture: ", "text: ": "The title: "}
_CODE = re.compile(r"`([^`]+)`")
Result = TypeVar("Result")
_log = logging.getLogger(__name__)


def result_or_problem(act: Callable[[], Result], *, problem: Callable[[str], Result]) -> Result:
    """The result of a click, or in its place an error message without a traceback.

    Args:
        act: computes the result.
        problem: converts the HTML of an error message to a result.
    """
    try:
        return act()
    except EXPECTED as error:
        return problem(problem_html(error))
    except Exception:
        _log.exception("the page failed")
        return problem(problem_html(RuntimeError("the page itself failed; see its terminal for the reason")))


def problem_html(error: Exception) -> str:
    """An error message in place of an answer."""
    return render("problem.html", text=sentence(error))


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
