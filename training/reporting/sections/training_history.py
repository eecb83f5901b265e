"""The section on the course of training: loss and validation accuracy of every model by epoch."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from training.reporting.document.blocks import Figure, Section
from training.reporting.figures.style import FADED, drawing
from training.reporting.results.model_names import model_style
from training.reporting.sections.report_data import ReportData

COLUMNS = ("stage", "loss", "accuracy", "products_per_second", "gpu_busy")
PANELS = 4


def training_history(data: ReportData) -> Iterator[Section]:
    """The section; it leaves out late fusion, which is not trained."""
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
        path: PNG to write.
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
        axes.tick_params(length=0)
        for start in _new_stages(runs[0]):
            axes.axvline(start + 0.5, color=FADED, linewidth=0.8)


def _new_stages(run: pd.DataFrame) -> list[int]:
    """The number of epochs before the start of each stage, without the first."""
    stages = run["stage"].to_numpy(dtype=str)
    return [int(number) for number in np.flatnonzero(stages[1:] != stages[:-1]) + 1]
