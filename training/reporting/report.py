"""Write the report of one run, several seeds or several folds: ``report.html``, ``report.md``, ``report.json``, figures.

Run as ``python -m training report runs/<name> [more runs]``.
"""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.reporting.document.blocks import Section
from training.reporting.document.html import render_html
from training.reporting.document.markdown import render_markdown, render_table
from training.reporting.results.numbers import Comparison, compare
from training.reporting.results.runs import RunResults, read_results
from training.reporting.sections.all_sections import SECTIONS
from training.reporting.sections.attributes import attribute_record
from training.reporting.sections.classes import class_record
from training.reporting.sections.comparison import (
    comparison_table,
    differences,
    headline,
    more_numbers,
    notes,
    overview,
)
from training.reporting.sections.learning_curve import by_size, learning_curve
from training.reporting.sections.report_data import Material
from training.reporting.sections.robustness import robustness_record
from training.run.checkpoint import RunError
from training.system.storage import warn, write_json, write_text


def write_report(folders: Sequence[Path], *, out: Path | None = None) -> Path:
    """Write the report of complete runs, and print its table.

    Args:
        folders: runs of one experiment: one, or several seeds or folds.
        out: folder to write to; None takes :func:`default_folder`.

    Returns:
        The path of ``report.html``, which is written last.

    Raises:
        RunError: a run is not complete, or is named twice.
    """
    out = out or default_folder(folders)
    groups = by_size([read_results(folder) for folder in folders])
    material = Material(groups[-1], out / "figures")
    target = material.run.target
    print(f"\n{target}: {headline(material.runs)}", flush=True)
    comparison = compare(material.runs)
    known = notes(material.runs, comparison)
    if len(groups) > 1:
        known.append(f"Runs on fewer products are in the learning curve only: {len(folders) - len(material.runs)}.")
    print(f"\n{render_table(comparison_table(comparison.numbers))}\n", flush=True)
    print("\n".join(f"- {note}" for note in known) + "\n", flush=True)
    sections = _sections(groups, material, comparison, known)
    title = f"{target}: the models compared"
    record = _record(material, comparison, known, sections)
    _remove_figures(out, keep=record["figures"])
    write_json(out / "report.json", record)
    write_text(out / "report.md", render_markdown(title, headline(material.runs), sections))
    write_text(out / "report.html", render_html(title, headline(material.runs), sections, figures=material.figures))
    return out / "report.html"


def default_folder(folders: Sequence[Path]) -> Path:
    """The folder of a report without ``--out``.

    It is the run's folder for one run. For several, it is ``report`` in the closest folder that holds all of them.

    Raises:
        RunError: a run is named twice, or the runs have no folder in common.
    """
    places = [Path(os.path.abspath(folder)) for folder in folders]  # noqa: PTH100 (keeps links as they are named)
    if twice := [str(folder) for folder, place in zip(folders, places, strict=True) if places.count(place) > 1]:
        raise RunError(f"{twice[0]} is named twice: name each run once")
    if len(folders) == 1:
        return folders[0]
    common = Path(os.path.commonpath([place.parent for place in places]))
    if common == Path(common.anchor):
        raise RunError(f"{folders[0]} and {folders[1]} have no folder in common: choose one with --out")
    return common / "report"


def _remove_figures(out: Path, *, keep: Collection[str]) -> None:
    """Remove figures of an earlier report in this folder that this report does not have. Other files stay."""
    path = out / "report.json"
    if not path.is_file():
        return
    try:
        earlier = [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["figures"]]
    except (ValueError, KeyError, TypeError) as error:
        warn(f"{path} names no figures ({type(error).__name__}): the figures of the earlier report stay")
        return
    for name in set(earlier) - set(keep):
        (out / "figures" / Path(name).name).unlink(missing_ok=True)


def _sections(
    groups: Sequence[Sequence[RunResults]], material: Material, comparison: Comparison, known: Sequence[str]
) -> list[Section]:
    """All sections in order, with a progress bar while they are drawn."""
    first = [overview(material, comparison, known), differences(comparison)]
    first += learning_curve(groups, material.figures)
    rest = [section for draw in tqdm(SECTIONS, desc="drawing figures", leave=False) for section in draw(material)]
    return [*first, *rest[:-1], more_numbers(comparison), *rest[-1:]]


def _record(
    material: Material, comparison: Comparison, known: Sequence[str], sections: Sequence[Section]
) -> dict[str, Any]:
    """The content of ``report.json``."""
    kept = ("seed", "created", "command", "arguments", "products", "split", "seconds")
    return {
        "target": material.run.target,
        "runs": [
            {"name": run.folder.name, **{key: value for key, value in run.record.as_dict().items() if key in kept}}
            for run in material.runs
        ],
        "shown": material.run.shown,
        "models": comparison.numbers,
        "verdicts": comparison.verdicts,
        "notes": list(known),
        "attributes": attribute_record(material),
        "classes": class_record(material.pooled),
        "robustness": robustness_record(material),
        "figures": {name: section.title for section in sections for name in section.figures},
    }
