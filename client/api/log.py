"""The type of the functions that get each line of progress, such as :func:`print`."""

from collections.abc import Callable

Log = Callable[[str], None]
