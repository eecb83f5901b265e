"""The sections on training: history, cost and learning curve."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure as Drawing
from PIL import Image
from written_run import write_catalogue, write_run

from training.reporting.document.blocks import Figure, Paragraph, Table
from training.reporting.figures.style import drawing
from training.reporting.results.run_results import RunResults, read_results
from training.reporting.sections import training as history
from training.reporting.sections.report_data import ReportData
from training.reporting.sections.training import (
    by_size,
    draw_history,
    learning_curve,
    read_history,
    training_cost,
    training_history,
)

HISTORY = """stage,epoch,loss,accuracy,macro_f1,seconds
head,1,2.0,0.5,0.4,1.0
head,2,1.0,0.6,0.5,1.0
tuned,1,0.5,0.8,0.7,9.0
"""


def run_of(folder: Path, **record: Any) -> RunResults:
    catalogue = folder.parent / "shop" / "products.csv"
    if not catalogue.is_file():
        write_catalogue(catalogue.parent, products=20)
    return read_results(write_run(folder, catalogue, **record))


def split_of(train: int) -> dict[str, Any]:
    return {"split": {"kind": "grouped", "hash": "0", "train": train, "validation": 1, "test": 12}}


def test_only_models_with_epochs_have_a_history(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / name) for name in ("a", "b")]
    assert list(training_history(ReportData(runs, tmp_path / "figures"))) == []
    (runs[0].folder / "image" / "history.csv").write_text(HISTORY, encoding="utf-8")
    (runs[0].folder / "late" / "history.csv").write_text(HISTORY.split("\n", 1)[0], encoding="utf-8")
    [section] = training_history(ReportData(runs, tmp_path / "figures"))
    assert isinstance(section.blocks[0], Figure)
    with Image.open(tmp_path / "figures" / section.blocks[0].file) as picture:
        assert min(picture.size) > 100


def test_a_stage_is_a_line_and_epochs_count_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.csv"
    path.write_text(HISTORY, encoding="utf-8")
    seen: list[Drawing] = []

    @contextmanager
    def kept(path: Path, *, width: float, height: float) -> Iterator[Drawing]:
        with drawing(path, width=width, height=height) as figure:
            seen.append(figure)
            yield figure

    monkeypatch.setattr(history, "drawing", kept)
    draw_history(tmp_path / "history.png", {"image": [read_history(path)]})
    above, below = seen[0].axes
    drawn = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in above.lines[:2]]
    assert drawn == [([1, 2], pytest.approx([50, 60])), ([3], pytest.approx([80]))]
    assert above.lines[2].get_xdata()[0] == 2.5
    assert below.lines[0].get_ydata().tolist() == [2, 1]


def test_cost_is_a_row_a_stage_and_their_sum(tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path / "a", seconds={"image": 10.0, "text": 30.0}),
        run_of(tmp_path / "b", seconds={"image": 20.0}),
    ]
    [section] = training_cost(ReportData(runs, tmp_path))
    text, table = section.blocks
    assert isinstance(text, Paragraph) and "on cpu, fp32;" in text.text
    assert isinstance(table, Table)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["image", "15.0 ± 7.1", "50"],
        ["text", "30.0", "50"],
        ["all stages", "30.0 ± 14.1", "100"],
    ]


def test_speed_and_memory_are_shown_where_they_were_kept(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "a", peak_memory_gib=3.21), run_of(tmp_path / "b", peak_memory_gib=2.5)]
    speeds = "stage,epoch,loss,accuracy,macro_f1,seconds,products_per_second,gpu_busy\nhead,1,2,0.5,0.4,1,{},{}\n"
    (runs[0].folder / "image" / "history.csv").write_text(speeds.format(1500, 0.5), encoding="utf-8")
    (runs[1].folder / "image" / "history.csv").write_text(speeds.format(2500, 0.7), encoding="utf-8")
    (runs[1].folder / "text" / "history.csv").write_text(HISTORY, encoding="utf-8")
    (runs[1].folder / "early" / "history.csv").write_text(speeds.format(9, ""), encoding="utf-8")
    [section] = training_cost(ReportData(runs, tmp_path))
    text, _, speed = section.blocks
    assert isinstance(text, Paragraph) and text.text.endswith("Peak memory: 3.2 GiB.")
    assert isinstance(speed, Table)
    assert [[cell.text for cell in row] for row in speed.rows] == [["head", "1,336", "60"]]


def test_a_run_without_seconds_has_no_cost(tmp_path: Path) -> None:
    assert list(training_cost(ReportData([run_of(tmp_path / "a", seconds={})], tmp_path))) == []


def test_runs_of_about_the_same_size_stand_together(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / str(train), **split_of(train)) for train in (1000, 110, 900, 100)]
    groups = by_size(runs)
    assert [[run.record.split.train for run in group] for group in groups] == [[110, 100], [1000, 900]]
    assert list(learning_curve(groups[1:], tmp_path)) == []
    [section] = learning_curve(groups, tmp_path / "figures")
    assert section.figures == ["learning.png"] and (tmp_path / "figures" / "learning.png").is_file()
