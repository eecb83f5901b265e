"""The sections that compare models: the table with notes, verdicts on differences, further metrics and attributes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from training.reporting.document.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Figure,
    Interval,
    IntervalRow,
    Intervals,
    Paragraph,
    Section,
    Table,
    Tile,
    Tiles,
    Tone,
)
from training.reporting.document.links import products_link
from training.reporting.figures.charts import draw_comparison
from training.reporting.results.decision import Decision
from training.reporting.results.model_comparison import ModelComparison, mean_and_std, signed_points
from training.reporting.results.model_names import BASELINE, MAJORITY, display_name, model_style
from training.reporting.results.run_results import RunResults, pool_results
from training.reporting.sections.report_data import ReportData
from training.run.record import RunRecord
from training.scores.metrics import BOOTSTRAP_DRAWS, FREQUENT, MIN_DIFFERENCE

METRICS = {"accuracy": "accuracy %", "macro_f1": "macro-F1 %", "ece": "ECE"}
MORE_COLUMNS = {
    "macro_f1_frequent": f"macro-F1 %, classes with ≥ {FREQUENT} test products",
    "ece": "ECE",
    "brier": "Brier score",
    "area_under_risk_coverage": "area under risk-coverage",
}
IN_PERCENT = ("accuracy", "macro_f1", "macro_f1_frequent", "coverage_at_95_precision")
TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "tie": "muted"}


def headline(runs: Sequence[RunResults]) -> str:
    """A line with the numbers of classes, test products and runs."""
    record, tested = runs[0].record, [len(run.ids) for run in runs]
    products = f"{tested[0]:,}" if len(set(tested)) == 1 else f"{min(tested):,} to {max(tested):,}"
    several = f" in each of {len(runs)} runs (mean ± standard deviation)" if len(runs) > 1 else ""
    classes = len(pool_results(runs).labels)
    return f"{classes} classes, {products} test products{several}, {record.split.kind} split."


def notes(runs: Sequence[RunResults], comparison: ModelComparison) -> list[str]:
    """Notes that limit or explain the numbers of the table."""
    known = [_against_baseline(comparison.verdicts)]
    step = 1 / min(len(run.ids) for run in runs)
    if step > MIN_DIFFERENCE:
        known.append(f"Few test products: each one counts for {100 * step:.1f} points of accuracy.")
    if faultless := [name for name, value in comparison.numbers.items() if value["accuracy"]["low"] == 1]:
        tested = len(np.unique(np.concatenate([run.ids for run in runs])))
        known.append(
            f"{', '.join(map(display_name, faultless))}: no error among {tested:,} products, so the interval has no "
            f"width. The true error rate may still be up to {min(300 / tested, 100):.1f} % (95 % confidence)."
        )
    if any(run.record.split.kind == "stratified" for run in runs):
        known.append(
            "Plain split: equal titles and near-identical pictures may be in both training and test, so every model "
            "looks better than it is. --split grouped keeps such products in one part."
        )
    if differing := _differing(runs):
        known.append(f"These runs differ in {', '.join(differing)}, so the means mix different experiments.")
    return known


def comparison_table(numbers: Mapping[str, Mapping[str, Any]], decision: Decision) -> Table:
    """A row for each model, in percent; the model to take is marked.

    Args:
        numbers: as in :class:`training.reporting.results.model_comparison.ModelComparison`.
    """
    names = ("accuracy %", "95 % interval", "macro-F1 %", "95 % interval", "coverage % at 95 % precision")
    rows = [
        [
            Cell(display_name(name)),
            *(cell for metric in ("accuracy", "macro_f1") for cell in _measured(values[metric])),
            _cell("coverage_at_95_precision", values.get("coverage_at_95_precision")),
            Cell(decision.choice(name), tone="strong" if name == decision.take else ""),
        ]
        for name, values in numbers.items()
    ]
    for name, row in zip(numbers, rows, strict=True):
        if name != MAJORITY:
            row[1] = row[1].linked(products_link(model=name, result="wrong"))
    columns = [Column("model"), *(Column(name, True) for name in names), Column("choice")]
    return Table(columns, rows, sortable=True, marked=list(numbers).index(decision.take))


def overview(data: ReportData, comparison: ModelComparison, decision: Decision, known: Sequence[str]) -> Section:
    """The first section: the most important numbers, the table, its figure, and the notes."""
    numbers = comparison.numbers
    draw_comparison(data.figures / "comparison.png", numbers)
    alt = "Accuracy and macro-F1 of every model with their 95 % intervals"
    caption = (
        "Dots: means; bars: 95 % intervals of a bootstrap over groups of related products"
        + ("; hollow dots: single runs" if len(data.runs) > 1 else "")
        + ". The majority class is left out."
    )
    blocks: list[Block] = [
        Tiles(_tiles(decision.take, comparison)),
        comparison_table(numbers, decision),
        Paragraph(
            f"Macro-F1: mean over the {_counted(numbers)} classes that have test products. Coverage: share of products "
            "that the model can answer, the most confident first, with 95 % of these answers right."
        ),
        _intervals(numbers, decision, Figure("comparison.png", alt, caption)),
        Bullets(known),
        Table(
            [Column("model"), Column("description")],
            [[Cell(display_name(name)), Cell(model_style(name).description)] for name in numbers],
        ),
    ]
    return Section("overview", "The models compared", blocks)


def _intervals(numbers: Mapping[str, Mapping[str, Any]], decision: Decision, figure: Figure) -> Intervals:
    rows = [
        IntervalRow(
            display_name(name),
            [
                Interval(each["mean"], each["low"], each["high"], products_link(model=name, result="wrong"))
                for each in (values["accuracy"], values["macro_f1"])
            ],
            name == decision.take,
        )
        for name, values in numbers.items()
        if name != MAJORITY
    ]
    return Intervals(["accuracy", "macro-F1"], rows, figure)


def differences(comparison: ModelComparison) -> Section:
    """The section with a verdict on every pair of models."""
    text = (
        "Each row gives the first model's metric minus the second's, in points. The 95 % interval comes from a paired "
        f"bootstrap over groups of related products ({BOOTSTRAP_DRAWS:,} draws). The verdict is “better” or “worse” if "
        "the interval excludes 0, the difference has the same sign in most runs, and it is at least "
        f"{100 * MIN_DIFFERENCE:.1f} points. Otherwise it is “tie”."
    )
    judged = [Column("95 % interval", True), Column("verdict")]
    columns = [Column("model"), Column("against"), Column("accuracy", True), *judged, Column("macro-F1", True), *judged]
    rows = [
        [
            *(Cell(display_name(pair[key])) for key in ("model", "other")),
            *(cell for metric in ("accuracy", "macro_f1") for cell in _judged(pair[metric])),
        ]
        for pair in comparison.verdicts
    ]
    blocks: list[Block] = [Paragraph(text), Table(columns, rows, sortable=True)]
    return Section("differences", "Significant differences", blocks)


def more_numbers(comparison: ModelComparison) -> Section:
    """The section with the metrics that the first table leaves out."""
    rows = [
        [Cell(display_name(name)), *(_cell(metric, values.get(metric)) for metric in MORE_COLUMNS)]
        for name, values in comparison.numbers.items()
    ]
    columns = [Column("model"), *(Column(name, True) for name in MORE_COLUMNS.values())]
    return Section("more-numbers", "Further metrics", [Table(columns, rows, sortable=True)])


def _tiles(shown: str, comparison: ModelComparison) -> list[Tile]:
    numbers = comparison.numbers[shown]
    accuracy, macro, coverage = (numbers[key] for key in ("accuracy", "macro_f1", "coverage_at_95_precision"))
    pair = next(each for each in comparison.verdicts if (each["model"], each["other"]) == (shown, BASELINE))["accuracy"]
    return [
        Tile(
            _percent(accuracy["mean"]),
            f"accuracy of {display_name(shown)}",
            f"95 % interval {_range(accuracy)}",
            products_link(model=shown, result="wrong"),
        ),
        Tile(_percent(macro["mean"]), "macro-F1", f"all classes weigh the same; {_range(macro)}"),
        Tile(
            f"{signed_points(pair['mean'])} points",
            f"accuracy against {display_name(BASELINE)}",
            f"{pair['verdict']}; {signed_points(pair['low'])} … {signed_points(pair['high'])}",
        ),
        Tile(_percent(coverage["mean"]), "answered without review", "at 95 % precision"),
    ]


def _against_baseline(verdicts: Sequence[Mapping[str, Any]]) -> str:
    by_verdict: dict[str, list[str]] = {"better": [], "tie": [], "worse": []}
    for pair in verdicts:
        if pair["other"] == BASELINE:
            by_verdict[pair["accuracy"]["verdict"]].append(display_name(pair["model"]))
    parts = [f"{verdict}: {', '.join(names)}" for verdict, names in by_verdict.items() if names]
    return f"Accuracy against TF-IDF + linear SVM on the title: {'; '.join(parts)}."


def _differing(runs: Sequence[RunResults]) -> list[str]:
    """Arguments that differ between the runs, without the seed."""
    arguments = [run.record.arguments for run in runs]
    return sorted(
        name
        for name in arguments[0]
        if name != "seed" and any(each.get(name) != arguments[0][name] for each in arguments)
    )


def _judged(difference: Mapping[str, Any]) -> list[Cell]:
    mean, low, high = (signed_points(difference[key]) for key in ("mean", "low", "high"))
    verdict = Cell(difference["verdict"], tone=TONES[difference["verdict"]])
    return [Cell(mean, difference["mean"]), Cell(f"{low} … {high}", difference["low"]), verdict]


def _measured(value: Mapping[str, Any]) -> list[Cell]:
    return [_cell("accuracy", value), Cell(_range(value), value["low"], "muted")]


def _cell(metric: str, value: Mapping[str, Any] | None) -> Cell:
    if value is None:
        return Cell("–", -1, "muted")
    scale, digits = (100, 1) if metric in IN_PERCENT else (1, 3)
    return Cell.mean(value, scale=scale, digits=digits)


def _range(value: Mapping[str, Any]) -> str:
    return f"{100 * value['low']:.1f} … {100 * value['high']:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _counted(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """The number of classes with test products, or its range over the runs."""
    runs = next(iter(numbers.values()))["classes"]["runs"]
    return f"{min(runs):g}" if min(runs) == max(runs) else f"{min(runs):g} to {max(runs):g}"


def further_attributes(data: ReportData) -> Iterator[Section]:
    """The section on the further attributes, with the baseline; none if the runs have one attribute."""
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
    rows = [
        [
            Cell(display_name(model)),
            *(
                _cell(metric, mean_and_std(known)) if (known := _known(records, name, model, metric)) else Cell("–")
                for metric in METRICS
            ),
        ]
        for model in models
    ]
    classes = next(len(each.labels) for each in records[0].attributes if each.name == name)
    tested = [int(record.metrics[BASELINE].get(name, {}).get("products", 0)) for record in records]
    caption = f"{name}: {classes} classes, {max(tested):,} test products with a value"
    return Table([Column("model"), *(Column(title, True) for title in METRICS.values())], rows, caption, sortable=True)
