"""Links from a number to its products: the filters of the report's product finder, as a fragment of its address."""

from collections.abc import Sequence
from urllib.parse import quote

FINDER = "products"


def products_link(
    *,
    model: str = "",
    truth: str = "",
    predicted: str = "",
    not_predicted: Sequence[int] = (),
    result: str = "",
    low: float | None = None,
    high: float | None = None,
) -> str:
    """An address within the report that opens the products which all filters let through.

    Args:
        model: whose answers the filters are about; "" for the featured one.
        truth: true class.
        predicted: class that the model chose.
        not_predicted: numbers of classes that it did not choose.
        result: ``right``, ``wrong`` or "" for both.
        low: its score is above this, 0..1.
        high: its score is this at most, 0..1.
    """
    scores = {"above": low, "upto": high}
    filters = {
        "model": model,
        "truth": truth,
        "predicted": predicted or "".join(f"~{number}" for number in not_predicted),
        "result": result or "all",
        **{name: f"{100 * score:g}" for name, score in scores.items() if score is not None},
    }
    return f"#{FINDER}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in filters.items() if value)
