"""Write the report of one run, several seeds or several folds: ``report.html``, ``.md``, ``.json`` and ``figures/``.

The model card of the model to take, ``model-card.md``, stands beside it.

Run as ``python -m training report runs/<name> [more runs]``.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.reporting.document.blocks import Section
from training.reporting.document.html import render_html
from training.reporting.document.markdown import padded_table, render_markdown, render_table
from training.reporting.results.decision import Decision, decide, decision_sentences
from training.reporting.results.model_comparison import ModelComparison, compare_models
from training.reporting.results.model_names import display_name
from training.reporting.results.run_results import RunResults, read_results
from training.reporting.sections.against import against_section, earlier_run, print_comparison
from training.reporting.sections.architectures import architectures
from training.reporting.sections.attention import attention
from training.reporting.sections.classes import class_record, confusion, per_class
from training.reporting.sections.confidence import calibration, coverage
from training.reporting.sections.example_products import errors, predictions
from training.reporting.sections.modality_states import by_modalities
from training.reporting.sections.next_steps import facts, next_steps
from training.reporting.sections.overview import (
    attribute_record,
    comparison_table,
    differences,
    further_attributes,
    headline,
    more_numbers,
    notes,
    overview,
)
from training.reporting.sections.product_finder import product_finder
from training.reporting.sections.report_data import ReportData
from training.reporting.sections.robustness import robustness, robustness_record
from training.reporting.sections.suspected_labels import suspected_labels
from training.reporting.sections.training import by_size, learning_curve, reproduction, training_cost, training_history
from training.run.checkpoint import RunError
from training.run.model_card import CARD, model_card
from training.system.progress import progress
from training.system.storage import warn, write_json, write_text

COLUMNS = {
    "accuracy": "accuracy %",
    "macro_f1": "macro-F1 %",
    "coverage_at_95_precision": "coverage % at 95 % precision",
}
# The sections after the comparison, in order. Each draws its figures; it yields nothing if the runs lack its data.
SECTIONS: tuple[Callable[[ReportData], Iterator[Section]], ...] = (
    product_finder,
    further_attributes,
    by_modalities,
    robustness,
    coverage,
    calibration,
    predictions,
    per_class,
    confusion,
    errors,
    suspected_labels,
    attention,
    architectures,
    training_history,
    training_cost,
    reproduction,
)


def write_report(folders: Sequence[Path], *, out: Path | None = None, against: Path | None = None) -> Path:
    """Write the report of complete runs, and print its table.

    Args:
        folders: runs of one experiment: one, or several seeds or folds.
        out: folder to write to; None takes :func:`default_folder`.
        against: an earlier run to set a single run beside.

    Returns:
        The path of ``report.html``, which is written last.

    Raises:
        RunError: a run is not complete, or is named twice; or ``against`` cannot be compared with it.
    """
    out = out or default_folder(folders)
    earlier = None if against is None else earlier_run(folders, against)
    groups = by_size([read_results(folder) for folder in folders])
    data = ReportData(groups[-1], out / "figures")
    target = data.run.target
    comparison = compare_models(data.runs)
    decision = decide(comparison)
    lead = decision_sentences(decision, products=len(data.pooled.ids))
    print(f"\n{target}: {lead}\n{headline(data.runs)}", flush=True)
    known = notes(data.runs, comparison)
    if len(groups) > 1:
        known.append(f"Runs on fewer products are in the learning curve only: {len(folders) - len(data.runs)}.")
    print(f"\n{render_table(comparison_table(comparison.numbers, decision))}\n", flush=True)
    print("\n".join(f"- {note}" for note in known) + "\n", flush=True)
    sections = _sections(groups, data, comparison, decision, known)
    if earlier is not None:
        sections.insert(1, against_section(earlier))
        print_comparison(earlier)
    title = f"{target}: the models compared"
    record = {**_record(data, comparison, known, sections), "decision": {**dataclasses.asdict(decision), "text": lead}}
    record |= {} if earlier is None else {"against": earlier.as_dict()}
    _remove_figures(out, keep=record["figures"])
    write_json(out / "report.json", record)
    known_facts, shown = facts(data.runs), headline(data.runs)
    write_text(out / CARD, model_card(data.run.folder, decision.take))
    write_text(out / "report.md", render_markdown(title, shown, sections, lead=lead, facts=known_facts))
    page = render_html(title, shown, sections, figures=data.figures, lead=lead, facts=known_facts)
    write_text(out / "report.html", page)
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
    groups: Sequence[Sequence[RunResults]],
    data: ReportData,
    comparison: ModelComparison,
    decision: Decision,
    known: Sequence[str],
) -> list[Section]:
    """All sections in order, with a progress bar while they are drawn."""
    first = [overview(data, comparison, decision, known), differences(comparison)]
    first += learning_curve(groups, data.figures)
    rest = [
        section for draw in progress(SECTIONS, description="drawing figures", unit="section") for section in draw(data)
    ]
    return [*first, *rest[:-1], more_numbers(comparison), *rest[-1:], next_steps(data.run, decision)]


def _record(
    data: ReportData, comparison: ModelComparison, known: Sequence[str], sections: Sequence[Section]
) -> dict[str, Any]:
    """The content of ``report.json``."""
    kept = ("seed", "created", "command", "arguments", "products", "split", "seconds")
    return {
        "target": data.run.target,
        "runs": [
            {"name": run.folder.name, **{key: value for key, value in run.record.as_dict().items() if key in kept}}
            for run in data.runs
        ],
        "shown": data.run.featured,
        "models": comparison.numbers,
        "verdicts": comparison.verdicts,
        "notes": list(known),
        "attributes": attribute_record(data),
        "classes": class_record(data.pooled),
        "robustness": robustness_record(data),
        "figures": {name: section.title for section in sections for name in section.figures},
    }


def metrics_tables(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Metrics as padded Markdown tables.

    Args:
        metrics: by model, attribute and name of the metric.
    """
    names = dict.fromkeys(attribute for numbers in metrics.values() for attribute in numbers)
    return "\n\n".join(f"{name}:\n{_table(name, metrics)}" for name in names)


def _table(attribute: str, metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    rows = [
        [display_name(model), *(_percent(numbers[attribute].get(metric)) for metric in COLUMNS)]
        for model, numbers in metrics.items()
        if attribute in numbers
    ]
    return padded_table(["model", *COLUMNS.values()], rows, right=range(1, 1 + len(COLUMNS)))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
