"""The section on products with picture and title, picture alone, title alone: the sets of classes, and conflicts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.reporting.document.blocks import Block, Cell, Column, Paragraph, Section, Table
from training.reporting.results.model_comparison import mean_and_std
from training.reporting.results.model_names import display_name
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData
from training.run.checkpoint import RunError
from training.run.record import CONFLICT_FILE, SETS_FILE

STATES = {"both": "picture and title", "image": "picture alone", "text": "title alone"}
SETS = {
    "coverage": ("holds the right class %", 100, 1),
    "size": ("classes in a set", 1, 2),
    "single": ("one class %", 100, 1),
}
CONFLICTS = {
    "false_alarms": "flagged of true pairs %",
    "flagged": "flagged with another title %",
    "flagged_classes": "of these, another class's title %",
}


def by_modalities(data: ReportData) -> Iterator[Section]:
    """The section; none if no run has measured sets or conflicts."""
    blocks = [*_sets(data), *_conflicts(data)]
    if blocks:
        yield Section("modalities", "Sets of classes, and pictures that contradict titles", blocks)


def _sets(data: ReportData) -> Iterator[Block]:
    read = {name: _read_all(data.runs, name, SETS_FILE) for name in data.models}
    promised = {float(each["coverage"]) for files in read.values() for each in files}
    rows = []
    for name, files in read.items():
        for state, words in STATES.items():
            if figures := [each["states"][state] for each in files if state in each["states"]]:
                rows.append([Cell(display_name(name)), Cell(words), *_figures(figures)])
    if not rows:
        return
    share = " or ".join(f"{100 * each:g} %" for each in sorted(promised))
    yield Paragraph(
        f"A set is the smallest list of classes that should hold the right one for {share} of the products. The "
        "thresholds were fitted on the validation part, for each state of modalities; these are the test products. "
        "A state without a row has no threshold, or no products."
    )
    columns = [Column("model"), Column("product has"), Column("test products", True)]
    yield Table([*columns, *(Column(title, True) for title, _, _ in SETS.values())], rows, sortable=True)


def _figures(figures: Sequence[Mapping[str, float]]) -> Iterator[Cell]:
    yield Cell.mean(mean_and_std([each["products"] for each in figures]), scale=1, digits=0)
    for key, (_, scale, digits) in SETS.items():
        yield Cell.mean(mean_and_std([each[key] for each in figures]), scale=scale, digits=digits)


def _conflicts(data: ReportData) -> Iterator[Block]:
    read = {name: files for name in data.models if (files := _read_all(data.runs, name, CONFLICT_FILE))}
    if not read:
        return
    yield Paragraph(
        "A fusion flags a product whose picture and title belong to different products. Measured on test products with "
        "both: as they are, and with the title of another product."
    )
    rows = [
        [
            Cell(display_name(name)),
            Cell.mean(mean_and_std([each["pairs"] for each in files]), scale=1, digits=0),
            *(Cell.mean(mean_and_std([each[key] for each in files])) for key in CONFLICTS),
        ]
        for name, files in read.items()
    ]
    columns = [Column("model"), Column("test products", True), *(Column(title, True) for title in CONFLICTS.values())]
    yield Table(columns, rows, sortable=True)


def _read_all(runs: Sequence[RunResults], model: str, name: str) -> list[Any]:
    """A file of a model in the runs that have it.

    Raises:
        RunError: a file is damaged.
    """
    found = []
    for path in (run.folder / model / name for run in runs):
        if path.is_file():
            found.append(_read(path))
    return found


def _read(path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.name == SETS_FILE:
            [each[key] for each in content["states"].values() for key in ("products", *SETS)]
            float(content["coverage"])
        else:
            [content[key] for key in ("pairs", *CONFLICTS)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read ({error!r}): train the run again") from error
    return content
