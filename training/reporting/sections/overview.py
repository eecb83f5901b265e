"""The sections that compare models: the table with its notes, the verdicts on differences, and further metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.reporting.document.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Figure,
    Paragraph,
    Section,
    Table,
    Tile,
    Tiles,
    Tone,
)
from training.reporting.figures.charts import draw_comparison
from training.reporting.results.model_comparison import ModelComparison
from training.reporting.results.model_names import BASELINE, display_name, model_style
from training.reporting.results.run_results import RunResults, pool_results
from training.reporting.sections.report_data import ReportData
from training.scores.metrics import BOOTSTRAP_DRAWS, FREQUENT, MIN_DIFFERENCE

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


def comparison_table(numbers: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each model, in percent.

    Args:
        numbers: as in :class:`training.reporting.results.model_comparison.ModelComparison`.
    """
    judged = [Column("accuracy %", True), Column("95 % interval", True)]
    columns = [Column("model"), *judged, Column("macro-F1 %", True), Column("95 % interval", True)]
    rows = [
        [
            Cell(display_name(name)),
            *(cell for metric in ("accuracy", "macro_f1") for cell in _measured(values[metric])),
            _cell("coverage_at_95_precision", values.get("coverage_at_95_precision")),
        ]
        for name, values in numbers.items()
    ]
    return Table([*columns, Column("coverage % at 95 % precision", True)], rows, sortable=True)


def overview(data: ReportData, comparison: ModelComparison, known: Sequence[str]) -> Section:
    """The first section: the most important numbers, the table, its figure, and the notes."""
    numbers, shown = comparison.numbers, data.run.featured
    draw_comparison(data.figures / "comparison.png", numbers)
    alt = "Accuracy and macro-F1 of every model with their 95 % intervals"
    caption = (
        "Dots: means; bars: 95 % intervals of a bootstrap over groups of related products"
        + ("; hollow dots: single runs" if len(data.runs) > 1 else "")
        + ". The majority class is left out."
    )
    blocks: list[Block] = [
        Tiles(_tiles(shown, comparison)),
        comparison_table(numbers),
        Paragraph(_legend(numbers)),
        Figure("comparison.png", alt, caption),
        Bullets(known),
        Table(
            [Column("model"), Column("description")],
            [[Cell(display_name(name)), Cell(model_style(name).description)] for name in numbers],
        ),
    ]
    return Section("overview", "The models compared", blocks)


def differences(comparison: ModelComparison) -> Section:
    """The section with a verdict on every pair of models."""
    text = (
        "Each row gives the first model's metric minus the second's, in points. The 95 % interval comes from a paired "
        f"bootstrap over groups of related products ({BOOTSTRAP_DRAWS:,} draws). The verdict is “better” or “worse” if "
        "the interval excludes 0, the difference has the same sign in most runs, and it is at least "
        f"{100 * MIN_DIFFERENCE:.1f} points. Otherwise it is “tie”."
    )
    return Section("differences", "Significant differences", [Paragraph(text), _verdict_table(comparison.verdicts)])


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
        Tile(_percent(accuracy["mean"]), f"accuracy of {display_name(shown)}", f"95 % interval {_range(accuracy)}"),
        Tile(_percent(macro["mean"]), "macro-F1", f"all classes weigh the same; {_range(macro)}"),
        Tile(
            f"{_points(pair['mean'])} points",
            f"accuracy against {display_name(BASELINE)}",
            f"{pair['verdict']}; {_points(pair['low'])} … {_points(pair['high'])}",
        ),
        Tile(_percent(coverage["mean"]), "answered without review", "at 95 % precision"),
    ]


def _legend(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    classes = _counted(next(iter(numbers.values()))["classes"]["runs"])
    return (
        f"Macro-F1: mean over the {classes} classes that have test products. Coverage: share of products that the "
        "model can answer, the most confident first, with 95 % of these answers right."
    )


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


def _verdict_table(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    judged = [Column("95 % interval", True), Column("verdict")]
    names = [Column("model"), Column("against")]
    columns = [*names, Column("accuracy", True), *judged, Column("macro-F1", True), *judged]
    rows = [
        [
            Cell(display_name(pair["model"])),
            Cell(display_name(pair["other"])),
            *_judged(pair["accuracy"]),
            *_judged(pair["macro_f1"]),
        ]
        for pair in verdicts
    ]
    return Table(columns, rows, sortable=True)


def _judged(difference: Mapping[str, Any]) -> list[Cell]:
    mean, low, high = (_points(difference[key]) for key in ("mean", "low", "high"))
    verdict = difference["verdict"]
    return [
        Cell(mean, difference["mean"]),
        Cell(f"{low} … {high}", difference["low"]),
        Cell(verdict, tone=TONES[verdict]),
    ]


def _measured(value: Mapping[str, Any]) -> list[Cell]:
    return [_cell("accuracy", value), Cell(_range(value), value["low"], "muted")]


def _cell(metric: str, value: Mapping[str, Any] | None) -> Cell:
    if value is None:
        return Cell("–", -1, "muted")
    scale, digits = (100, 1) if metric in IN_PERCENT else (1, 3)
    spread = "" if value["std"] is None else f" ± {scale * value['std']:.{digits}f}"
    return Cell(f"{scale * value['mean']:.{digits}f}{spread}", value["mean"])


def _range(value: Mapping[str, Any]) -> str:
    return f"{100 * value['low']:.1f} … {100 * value['high']:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _counted(runs: Sequence[float]) -> str:
    return f"{min(runs):g}" if min(runs) == max(runs) else f"{min(runs):g} to {max(runs):g}"


def _points(difference: float) -> str:
    """Signed, with a minus sign as wide as the plus sign; never "-0.0"."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "−")
