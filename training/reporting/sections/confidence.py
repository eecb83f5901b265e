"""The sections on confidence: errors by share of products answered, and calibration."""

from collections.abc import Iterator

from training.reporting.document.blocks import Cell, Column, Figure, Paragraph, Section, Table
from training.reporting.document.links import products_link
from training.reporting.figures.charts import FEW, draw_reliability, draw_risk_coverage
from training.reporting.results.model_names import display_name
from training.reporting.sections.product_finder import SCORE_STEPS, rounded_scores
from training.reporting.sections.report_data import ReportData
from training.scores.metrics import Classes, Probabilities

TENTHS = 10


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
    yield Section("calibration", "Calibration", [Paragraph(text), figure, _by_score(data)])


def _by_score(data: ReportData) -> Table:
    """For each tenth of the scores and each model: the share of right answers, with a link to them."""
    models, truth = _calibrated(data), data.pooled.truth
    scored = {
        name: (rounded_scores(probabilities), probabilities.argmax(1) == truth)
        for name, (probabilities, _) in models.items()
    }
    rows = []
    for low in reversed(range(TENTHS)):
        cells = [Cell(f"{100 * low // TENTHS} to {100 * (low + 1) // TENTHS}", low)]
        for name, (scores, right) in scored.items():
            inside = (low * SCORE_STEPS < TENTHS * scores) & (TENTHS * scores <= (low + 1) * SCORE_STEPS)
            link = products_link(model=name, low=low / TENTHS, high=(low + 1) / TENTHS)
            share = float(right[inside].mean()) if inside.any() else -1
            cells.append(
                Cell(f"{100 * share:.1f} ({inside.sum():,})", share, link=link) if inside.any() else Cell("", -1)
            )
        rows.append(cells)
    columns = [Column("score %"), *(Column(display_name(name), True) for name in scored)]
    return Table(columns, rows, "Right answers in %, and their number in brackets, by score", sortable=True)


def _calibrated(data: ReportData) -> dict[str, tuple[Probabilities, Classes]]:
    answers = {name: data.pooled.answers[name].probabilities for name in data.models}
    return {
        name: (probabilities, data.pooled.truth) for name, probabilities in answers.items() if probabilities is not None
    }
