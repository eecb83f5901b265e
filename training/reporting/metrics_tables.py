"""The tables that ``train`` and ``evaluate`` print: a table for each attribute, a row for each model, in percent."""

from collections.abc import Mapping
from typing import Any

from training.reporting.document.markdown import padded_table
from training.reporting.results.model_names import display_name

COLUMNS = {
    "accuracy": "accuracy %",
    "macro_f1": "macro-F1 %",
    "coverage_at_95_precision": "coverage % at 95 % precision",
}


def metrics_tables(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Metrics as padded Markdown tables.

    Args:
        metrics: by model, attribute and name of the metric.
    """
    names = dict.fromkeys(attribute for numbers in metrics.values() for attribute in numbers)
    return "\n\n".join(f"{name}:\n{_table(name, metrics)}" for name in names)


def _table(attribute: str, metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    rows = [
        [display_name(model), *(_percent(numbers[attribute].get(metric)) for metric in COLUMNS)]
        for model, numbers in metrics.items()
        if attribute in numbers
    ]
    return padded_table(["model", *COLUMNS.values()], rows, right=range(1, 1 + len(COLUMNS)))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
