"""The section on the further attributes: a table for each, with the baseline on the same split."""

from collections.abc import Iterator, Sequence
from typing import Any

from training.reporting.document.blocks import Block, Cell, Column, Paragraph, Section, Table
from training.reporting.results.model_comparison import mean_and_std
from training.reporting.results.model_names import BASELINE, display_name
from training.reporting.sections.report_data import ReportData
from training.run.record import RunRecord

METRICS = {"accuracy": "accuracy %", "macro_f1": "macro-F1 %", "ece": "ECE"}


def further_attributes(data: ReportData) -> Iterator[Section]:
    """The section; none if the runs have one attribute. All other sections are about the main attribute."""
    records, names = _records(data)
    if not names:
        return
    blocks: list[Block] = [Paragraph(_text(records[0], data.run.target))]
    blocks += [_table(name, records, [*data.models, BASELINE]) for name in names]
    yield Section("attributes", "Further attributes", blocks)


def attribute_record(data: ReportData) -> dict[str, dict[str, dict[str, Any]]]:
    """The numbers for ``report.json``: ``{"mean", "std", "runs"}`` by attribute, model and metric."""
    records, names = _records(data)
    return {
        name: {
            model: {
                metric: mean_and_std(known) for metric in METRICS if (known := _known(records, name, model, metric))
            }
            for model in [*data.models, BASELINE]
        }
        for name in names
    }


def _records(data: ReportData) -> tuple[list[RunRecord], list[str]]:
    """The records of all runs, and the further attributes that all runs have."""
    records = [run.record for run in data.runs]
    _, *further = (attribute.name for attribute in records[0].attributes)
    of_each = [{attribute.name for attribute in each.attributes} for each in records]
    return records, [name for name in further if all(name in names for names in of_each)]


def _known(records: Sequence[RunRecord], name: str, model: str, metric: str) -> list[float]:
    """A metric's values in the runs that have it; the baseline has no ECE."""
    numbers = [record.metrics[model].get(name, {}) for record in records]
    return [each[metric] for each in numbers if each.get(metric) is not None]


def _text(record: RunRecord, target: str) -> str:
    text = (
        f"All other sections are about {target}. The same models predict these attributes in the same pass. "
        "Products without a value are left out."
    )
    for finest, *followers in record.hierarchies:
        text += (
            f" In the training products, {finest} determines {' and '.join(followers)}. The models answer only "
            "combinations that occur there, by their joint probability."
        )
    return text


def _table(name: str, records: Sequence[RunRecord], models: Sequence[str]) -> Table:
    rows = []
    for model in models:
        rows.append(
            [Cell(display_name(model)), *(_cell(metric, _known(records, name, model, metric)) for metric in METRICS)]
        )
    classes = next(len(each.labels) for each in records[0].attributes if each.name == name)
    tested = [int(record.metrics[BASELINE].get(name, {}).get("products", 0)) for record in records]
    caption = f"{name}: {classes} classes, {max(tested):,} test products with a value"
    return Table([Column("model"), *(Column(title, True) for title in METRICS.values())], rows, caption, sortable=True)


def _cell(metric: str, values: Sequence[float]) -> Cell:
    """The mean over the runs, and the standard deviation if there are several."""
    if not values:
        return Cell("–")
    factor, digits = (1, 3) if metric == "ece" else (100, 1)
    value = mean_and_std(values)
    deviation = "" if value["std"] is None else f" ± {factor * value['std']:.{digits}f}"
    return Cell(f"{factor * value['mean']:.{digits}f}{deviation}", value["mean"])
