"""Further attributes in a report: a table each, beside the simple baseline on the same split."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from training.reporting.blocks import Block, Cell, Column, Paragraph, Section, Table
from training.reporting.material import Material
from training.reporting.names import BASELINE, display

METRICS = {"accuracy": "accuracy %", "macro_f1": "macro-F1 %", "ece": "ECE"}


def attributes(material: Material) -> Iterator[Section]:
    """Of runs of several attributes a table for each but the target, which all other sections are about."""
    records = [run.record for run in material.runs]
    names = [name for name in records[0].get("attributes", {}) if all(name in each["attributes"] for each in records)]
    if not names:
        return
    blocks: list[Block] = [Paragraph(_text(records[0]))]
    blocks += [_table(name, records, [*material.models, BASELINE]) for name in names]
    yield Section("attributes", "Further attributes", blocks)


def _text(record: dict[str, Any]) -> str:
    text = (
        f"All other sections are about {record['target']}; the same models tell these attributes in the same pass. "
        "Products without a value are left out."
    )
    for finest, *followers in record.get("hierarchies", []):
        text += (
            f" {' and '.join(followers)} {'follow' if len(followers) > 1 else 'follows'} from {finest} by the training "
            "products: only combinations that they show are answered, by their joint probability."
        )
    return text


def _table(name: str, records: Sequence[dict[str, Any]], models: Sequence[str]) -> Table:
    rows = []
    for model in models:
        numbers = [record["metrics"][model].get("attributes", {}).get(name, {}) for record in records]
        rows.append(
            [Cell(display(model)), *(_cell(metric, [each.get(metric) for each in numbers]) for metric in METRICS)]
        )
    classes, tested = len(records[0]["attributes"][name]), [_products(record, name) for record in records]
    caption = f"{name}: {classes} classes, {max(tested):,} test products with a value"
    return Table([Column("model"), *(Column(title, True) for title in METRICS.values())], rows, caption, sortable=True)


def _products(record: dict[str, Any], name: str) -> int:
    return int(record["metrics"][BASELINE].get("attributes", {}).get(name, {}).get("products", 0))


def _cell(metric: str, values: Sequence[float | None]) -> Cell:
    """The mean over the runs, and their standard deviation where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return Cell("–")
    factor, digits = (1, 3) if metric == "ece" else (100, 1)
    spread = f" ± {factor * np.std(known, ddof=1):.{digits}f}" if len(known) > 1 else ""
    return Cell(f"{factor * np.mean(known):.{digits}f}{spread}", float(np.mean(known)))
