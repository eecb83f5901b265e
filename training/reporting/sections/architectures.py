"""The section with the diagrams of the three fusions."""

import json
from collections.abc import Iterator
from pathlib import Path

from training.reporting.document.blocks import Figure, Paragraph, Section
from training.reporting.figures.architectures import Widths, draw_architectures
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData


def architectures(data: ReportData) -> Iterator[Section]:
    """The section with diagrams of the fusions; they show the widths of the first run."""
    widths = _widths(data.run)
    if widths is not None:
        draw_architectures(data.figures / "architectures.png", widths)
        figure = Figure("architectures.png", "Block diagrams of early, intermediate and late fusion")
        yield Section("architectures", "The three fusions", [Paragraph("The numbers are widths of this run."), figure])


def _widths(run: RunResults) -> Widths | None:
    """The widths of a model with two towers; None if the run has none."""
    for name in run.models:
        path = run.folder / name / "architecture.json"
        architecture = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if architecture.get("image_encoder") and architecture.get("text_encoder"):
            return Widths(
                image_encoder=architecture["image_encoder"],
                image=architecture["image_width"],
                text_encoder=Path(run.record.arguments["text_encoder"]).name,
                text=architecture["text_encoder"]["hidden_size"],
                cells=run.record.arguments["image_size"] // 32,
                classes=len(run.labels),
            )
    return None
