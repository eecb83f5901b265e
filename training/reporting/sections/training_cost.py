"""The section on the cost of training: time, speed and memory."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from training.reporting.document.blocks import Block, Cell, Column, Paragraph, Section, Table
from training.reporting.results.model_comparison import mean_and_std
from training.reporting.results.model_names import display_name
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData
from training.reporting.sections.training_history import read_history
from training.system.device import Device


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
    value = mean_and_std(seconds)
    deviation = "" if value["std"] is None else f" ± {value['std']:,.1f}"
    share = 100 * sum(seconds) / total if total else 0
    return [Cell(name), Cell(f"{value['mean']:,.1f}{deviation}", value["mean"]), Cell(f"{share:.0f}", share)]


def _where(runs: Sequence[RunResults]) -> str:
    devices = dict.fromkeys(_device(run.record.device) for run in runs)
    memory = max(run.record.peak_memory_gib for run in runs)
    return (
        f"Wall-clock time on {' and '.join(devices)}; a resumed stage counts only the time since then. "
        f"Peak memory: {memory:.1f} GiB."
    )


def _device(device: Device) -> str:
    return f"{device.name}, {'bf16' if device.bf16 else 'fp32'}"
