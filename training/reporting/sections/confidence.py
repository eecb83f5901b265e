"""The sections on confidence: errors by share of products answered, and calibration."""

from collections.abc import Iterator

from training.reporting.document.blocks import Figure, Paragraph, Section
from training.reporting.figures.charts import FEW, draw_reliability, draw_risk_coverage
from training.reporting.sections.report_data import ReportData
from training.scores.metrics import Classes, Probabilities


def coverage(data: ReportData) -> Iterator[Section]:
    """The section with the risk-coverage curves of all models."""
    draw_risk_coverage(data.figures / "risk-coverage.png", _calibrated(data))
    text = (
        "The share of errors among the answers, by share of products answered, the most confident first. Below the "
        "dashed line, the answers have 95 % precision."
    )
    figure = Figure("risk-coverage.png", "Share of errors among the answers, by share of the products answered")
    yield Section("coverage", "Share of products that need no review", [Paragraph(text), figure])


def calibration(data: ReportData) -> Iterator[Section]:
    """The section with the reliability diagrams of all models."""
    draw_reliability(data.figures / "reliability.png", _calibrated(data))
    text = (
        "Of all answers with a confidence of 80 %, 80 % should be right: then the dots lie on the line. A dot's area "
        f"is its share of the products. Hollow dots have fewer than {FEW} products, so their height is mostly chance. "
        "ECE is the expected calibration error: the mean distance from the line over 15 bins."
    )
    figure = Figure("reliability.png", "Accuracy by confidence, a panel for each model")
    yield Section("calibration", "Calibration", [Paragraph(text), figure])


def _calibrated(data: ReportData) -> dict[str, tuple[Probabilities, Classes]]:
    answers = {name: data.pooled.answers[name].probabilities for name in data.models}
    return {
        name: (probabilities, data.pooled.truth) for name, probabilities in answers.items() if probabilities is not None
    }
