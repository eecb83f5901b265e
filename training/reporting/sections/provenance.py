"""The last sections: the cost of training, and the data needed to repeat the runs."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from training.reporting.document.blocks import Block, Bullets, Cell, Code, Column, Paragraph, Section, Table
from training.reporting.results.names import display
from training.reporting.results.numbers import spread
from training.reporting.results.runs import RunResults
from training.reporting.sections.history import read_history
from training.reporting.sections.report_data import Material
from training.system.device import Device


def cost(material: Material) -> Iterator[Section]:
    """The section on the seconds of each stage, mean and standard deviation over the runs."""
    seconds = [run.record.seconds for run in material.runs]
    stages = list(dict.fromkeys(stage for each in seconds for stage in each))
    if not stages:
        return
    totals = [sum(each.values()) for each in seconds]
    rows = [_row(display(stage), [each[stage] for each in seconds if stage in each], sum(totals)) for stage in stages]
    rows.append([Cell(cell.text, cell.sort, "strong") for cell in _row("all stages", totals, sum(totals))])
    columns = [Column("stage"), Column("seconds", True), Column("share %", True)]
    blocks: list[Block] = [Paragraph(_where(material.runs)), Table(columns, rows), *_speed(material)]
    yield Section("cost", "Cost of training", blocks)


def provenance(material: Material) -> Iterator[Section]:
    """The section with command, catalogue, split and seed of every run."""
    blocks: list[Block] = []
    for run in material.runs:
        blocks += _made(run)
    yield Section("provenance", "How to repeat the runs", blocks)


def _speed(material: Material) -> Iterator[Table]:
    """Products per second of every stage, if the runs have recorded it."""
    read = [read_history(run.folder / name / "history.csv") for name in material.models for run in material.runs]
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
    value = spread(seconds)
    deviation = "" if value["std"] is None else f" ± {value['std']:,.1f}"
    share = 100 * sum(seconds) / total if total else 0
    return [Cell(name), Cell(f"{value['mean']:,.1f}{deviation}", value["mean"]), Cell(f"{share:.0f}", share)]


def _where(runs: Sequence[RunResults]) -> str:
    devices = dict.fromkeys(_device(run.record.device) for run in runs)
    memory = max(run.record.peak_memory_gib for run in runs)
    return (
        f"Wall-clock time on {' and '.join(devices)}; a stage that was taken up again counts what was left of it. "
        f"Peak memory: {memory:.1f} GiB."
    )


def _device(device: Device) -> str:
    return f"{device.name}, {'bf16' if device.bf16 else 'fp32'}"


def _made(run: RunResults) -> list[Block]:
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
