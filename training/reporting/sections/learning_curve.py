"""The section on the learning curve: accuracy by size of the training part, if the runs differ in it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.reporting.document.blocks import Figure, Paragraph, Section
from training.reporting.figures.curves import Curve, draw_curves
from training.reporting.results.model_names import MAJORITY
from training.reporting.results.run_results import RunResults, common_models
from training.scores.metrics import accuracy, macro_f1

SIMILAR = 1.2  # largest ratio of two sizes in one group


def by_size(runs: Sequence[RunResults]) -> list[list[RunResults]]:
    """Group runs by size of their training part, the largest last. Within a group the order stays."""
    groups: list[list[RunResults]] = []
    for run in sorted(runs, key=training_size):
        if groups and training_size(run) <= SIMILAR * training_size(groups[-1][0]):
            groups[-1].append(run)
        else:
            groups.append([run])
    return [[run for run in runs if any(run is each for each in group)] for group in groups]


def training_size(run: RunResults) -> int:
    """Products of the training part."""
    return run.record.split.train


def learning_curve(groups: Sequence[Sequence[RunResults]], figures: Path) -> Iterator[Section]:
    """The section; none if there is a single group.

    Args:
        groups: from :func:`by_size`.
        figures: folder for the figure.
    """
    if len(groups) < 2:
        return
    names = [name for name in common_models([run for group in groups for run in group]) if name != MAJORITY]
    sizes = [round(sum(map(training_size, group)) / len(group)) for group in groups]
    places = [math.log2(size) for size in sizes]
    curves = [
        Curve(
            "by training products",
            places,
            [f"{size:,}" for size in sizes],
            {name: [[of(run, name) for run in group] for group in groups] for name in names},
            axis,
        )
        for axis, of in (("accuracy %", _accuracy), ("macro-F1 %", _macro_f1))
    ]
    draw_curves(figures / "learning.png", curves)
    text = (
        "The horizontal axis is logarithmic. If a line still rises at its end, more training products are likely to "
        "help. All other sections are about the runs with most training products."
    )
    figure = Figure("learning.png", "Accuracy and macro-F1 of every model by the number of training products")
    yield Section("learning", "Accuracy by number of training products", [Paragraph(text), figure])


def _accuracy(run: RunResults, name: str) -> float:
    return accuracy(run.truth, run.answers[name].predicted)


def _macro_f1(run: RunResults, name: str) -> float:
    return macro_f1(run.truth, run.answers[name].predicted, classes=len(run.labels))
