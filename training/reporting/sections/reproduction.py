"""The section with the data needed to repeat the runs."""

from collections.abc import Iterator

from training.reporting.document.blocks import Block, Bullets, Code, Paragraph, Section
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData


def reproduction(data: ReportData) -> Iterator[Section]:
    """The section with command, catalogue, split and seed of every run."""
    blocks: list[Block] = []
    for run in data.runs:
        blocks += _run_blocks(run)
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
