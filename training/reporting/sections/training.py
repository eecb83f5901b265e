"""The sections on training: accuracy by number of products, its course by epoch, its cost, and how to repeat it."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from training.reporting.document.blocks import Block, Bullets, Cell, Code, Column, Figure, Paragraph, Section, Table
from training.reporting.figures.charts import Curve, draw_curves
from training.reporting.figures.style import FADED, drawing
from training.reporting.results.model_comparison import mean_and_std
from training.reporting.results.model_names import MAJORITY, display_name, model_style
from training.reporting.results.run_results import RunResults, common_models
from training.reporting.sections.report_data import ReportData
from training.scores.metrics import accuracy, macro_f1

COLUMNS = ("stage", "loss", "accuracy", "products_per_second", "gpu_busy")
PANELS = 4
SIMILAR = 1.2  # largest ratio of two sizes in one group


def by_size(runs: Sequence[RunResults]) -> list[list[RunResults]]:
    """Group runs by size of their training part, the largest last. Within a group the order stays."""
    groups: list[list[RunResults]] = []
    for run in sorted(runs, key=lambda run: run.record.split.train):
        if groups and run.record.split.train <= SIMILAR * groups[-1][0].record.split.train:
            groups[-1].append(run)
        else:
            groups.append([run])
    return [[run for run in runs if any(run is each for each in group)] for group in groups]


def learning_curve(groups: Sequence[Sequence[RunResults]], figures: Path) -> Iterator[Section]:
    """The section on accuracy by size of the training part; none if there is a single group.

    Args:
        groups: from :func:`by_size`.
    """
    if len(groups) < 2:
        return
    names = [name for name in common_models([run for group in groups for run in group]) if name != MAJORITY]
    sizes = [round(sum(run.record.split.train for run in group) / len(group)) for group in groups]
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


def training_history(data: ReportData) -> Iterator[Section]:
    """The section on loss and validation accuracy by epoch; it leaves out late fusion, which is not trained."""
    read = {name: [read_history(run.folder / name / "history.csv") for run in data.runs] for name in data.models}
    histories = {name: kept for name, each in read.items() if (kept := [one for one in each if len(one)])}
    if not histories:
        return
    draw_history(data.figures / "history.png", histories)
    alt = "Training loss and validation accuracy by epoch, a panel for each model"
    caption = (
        "Above: accuracy on the validation part (mean over the attributes). Below: training loss. Each run is a line; "
        "vertical lines mark the start of a stage. A stage ends when accuracy stops improving, and its best epoch is "
        "kept."
    )
    yield Section("history", "Course of training", [Figure("history.png", alt, caption)])


def read_history(path: Path) -> pd.DataFrame:
    """``COLUMNS`` by epoch; missing columns are empty. A model that was not trained has no rows."""
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.read_csv(path).reindex(columns=list(COLUMNS))


def draw_history(path: Path, histories: Mapping[str, Sequence[pd.DataFrame]]) -> None:
    """Draw a column for each model: accuracy above, loss below. Epochs count on from stage to stage.

    Args:
        histories: by model, the result of :func:`read_history` for every run.
    """
    across = min(len(histories), PANELS)
    down = -(-len(histories) // across)
    with drawing(path, width=2.6 * across + 0.3, height=3.3 * down) as figure:
        panels = figure.subplots(2 * down, across, squeeze=False)
        for number, (name, runs) in enumerate(histories.items()):
            row, column = 2 * (number // across), number % across
            _draw_model(panels[row, column], panels[row + 1, column], runs, name=name)
        for axes in panels.flat:
            axes.set_visible(bool(axes.lines))


def _draw_model(above: Axes, below: Axes, runs: Sequence[pd.DataFrame], *, name: str) -> None:
    look = model_style(name)
    for run in runs:
        for start, end in itertools.pairwise([0, *_new_stages(run), len(run)]):
            epochs, stage = np.arange(start + 1, end + 1), run.iloc[start:end]
            for axes, values in ((above, 100 * stage["accuracy"]), (below, stage["loss"])):
                axes.plot(epochs, values, color=look.colour, linewidth=1.4, alpha=0.85, marker=".", markersize=4)
    above.set_title(look.display)
    above.set_ylabel("accuracy %")
    below.set(ylabel="loss", xlabel="epoch", ylim=(0, None))
    above.tick_params(labelbottom=False)
    for axes in (above, below):
        axes.set_xlim(0.5, max(len(run) for run in runs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        for start in _new_stages(runs[0]):
            axes.axvline(start + 0.5, color=FADED, linewidth=0.8)


def _new_stages(run: pd.DataFrame) -> list[int]:
    """The number of epochs before the start of each stage, without the first."""
    stages = run["stage"].to_numpy(dtype=str)
    return [int(number) for number in np.flatnonzero(stages[1:] != stages[:-1]) + 1]


def training_cost(data: ReportData) -> Iterator[Section]:
    """The section on the seconds of each stage, mean and standard deviation over the runs."""
    seconds = [run.record.seconds for run in data.runs]
    stages = list(dict.fromkeys(stage for each in seconds for stage in each))
    if not stages:
        return
    totals = [sum(each.values()) for each in seconds]
    rows = [
        _row(display_name(stage), [each[stage] for each in seconds if stage in each], sum(totals)) for stage in stages
    ]
    rows.append([Cell(cell.text, cell.sort, "strong") for cell in _row("all stages", totals, sum(totals))])
    columns = [Column("stage"), Column("seconds", True), Column("share %", True)]
    blocks: list[Block] = [Paragraph(_where(data.runs)), Table(columns, rows), *_speed(data)]
    yield Section("cost", "Cost of training", blocks)


def _speed(data: ReportData) -> Iterator[Table]:
    """Products per second of every stage, if the runs have recorded it."""
    read = [read_history(run.folder / name / "history.csv") for name in data.models for run in data.runs]
    epochs = pd.concat([each.dropna(axis="columns", how="all") for each in read if len(each)] or read[:1])
    epochs = epochs.reindex(columns=["stage", "products_per_second", "gpu_busy"]).dropna(subset="products_per_second")
    if epochs.empty:
        return
    means = epochs.groupby("stage", sort=False)[["products_per_second", "gpu_busy"]].mean()
    rows = [
        [Cell(str(stage)), Cell(f"{speed:,.0f}", speed), Cell("–" if np.isnan(busy) else f"{100 * busy:.0f}", busy)]
        for stage, speed, busy in zip(means.index, means["products_per_second"], means["gpu_busy"], strict=True)
    ]
    columns = [Column("stage"), Column("products/s", True), Column("GPU busy %", True)]
    yield Table(columns, rows, "Speed of training, mean over epochs and runs")


def _row(name: str, seconds: Sequence[float], total: float) -> list[Cell]:
    share = 100 * sum(seconds) / total if total else 0
    return [Cell(name), Cell.mean(mean_and_std(seconds), scale=1), Cell(f"{share:.0f}", share)]


def _where(runs: Sequence[RunResults]) -> str:
    each = [run.record.device for run in runs]
    devices = dict.fromkeys(f"{device.name}, {'bf16' if device.bf16 else 'fp32'}" for device in each)
    memory = max(run.record.peak_memory_gib for run in runs)
    return (
        f"Wall-clock time on {' and '.join(devices)}; a resumed stage counts only the time since then. "
        f"Peak memory: {memory:.1f} GiB."
    )


def reproduction(data: ReportData) -> Iterator[Section]:
    """The section with command, catalogue, split and seed of every run."""
    blocks = [block for run in data.runs for block in _run_blocks(run)]
    yield Section("provenance", "How to repeat the runs", blocks)


def _run_blocks(run: RunResults) -> list[Block]:
    record = run.record
    products, split = record.products, record.split
    return [
        Paragraph(f"{run.folder.name}: {record.created}, seed {record.seed}"),
        Code(record.command),
        Bullets(
            [
                f"catalogue: {products.read:,} rows read = {products.used:,} used + {products.rejected:,} rejected",
                f"{split.kind} split: {split.train:,} training, {split.validation:,} validation and "
                f"{split.test:,} test products, hash {split.hash[:16]}",
            ]
        ),
    ]
