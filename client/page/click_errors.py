"""Clicks that go wrong end in a sentence."""

import logging
from collections.abc import Callable
from typing import TypeVar

from client.page.error_sentences import EXPECTED
from client.page.rendering import problem_html

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


def guarded(act: Callable[[], Result], *, problem: Callable[[str], Result]) -> Result:
    """The result of a click, or a sentence in its place: nobody is shown a traceback.

    Args:
        act: makes the result.
        problem: makes a result of a sentence's HTML.
    """
    try:
        return act()
    except EXPECTED as error:
        return problem(problem_html(error))
    except Exception:
        _log.exception("the page failed")
        return problem(problem_html(RuntimeError("the page itself failed; its terminal says more")))
