"""Shows the error of a click as a sentence on the page."""

import logging
from collections.abc import Callable
from typing import TypeVar

from client.page.error_sentences import EXPECTED
from client.page.rendering import problem_html

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
