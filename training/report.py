"""Tables and figures of one run or of several (seeds, folds): ``report.md``, ``report.json`` and ``figures/``."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.checkpoint import write_json, write_text
from training.diagrams import draw_fusions
from training.figures import ProductTile, draw_attention, draw_calibration, draw_confusion, draw_products
from training.metrics import Answers, paired_bootstrap, summarize_labels, verdict
from training.run_results import ProductShelf, RunResults, read_results

WHAT_IT_IS = {
    "image": "picture alone",
    "text": "title alone",
    "early": "both towers concatenated",
    "intermediate": "picture attends to title",
    "late": "weighted average of probabilities",
    "baseline": "TF-IDF + linear SVM on the title",
    "majority": "always the most frequent class",
}
COLUMNS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "ece": "ECE",
    "coverage_at_95_precision": "answered at 95 % precision",
}
SHOWN_PRODUCTS = 18
SHOWN_ATTENTION = 3


def write_report(folders: Sequence[Path], *, out: Path | None = None) -> Path:
    """Write the report and print its table.

    Args:
        folders: complete run folders of one experiment; products and figures come from the first.
        out: where to write; None takes the first run's folder.

    Returns:
        The path of ``report.md``.

    Raises:
        RunError: a run is not complete.
    """
    runs = [read_results(folder) for folder in folders]
    out = out or runs[0].folder
    numbers, verdicts = _numbers(runs), _verdicts(runs)
    table = _table(numbers)
    print(table)
    draw_fusions(out / "figures" / "fusions.png")
    draw_calibration(out / "figures" / "calibration.png", runs[0])
    sections = _product_sections(runs[0], out / "figures")
    write_json(
        out / "report.json", {"runs": [run.folder.name for run in runs], "models": numbers, "verdicts": verdicts}
    )
    write_text(out / "report.md", _document(runs, table, verdicts, sections))
    return out / "report.md"


def _numbers(runs: Sequence[RunResults]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation of each metric over the runs, by model."""
    records = [{**run.record["metrics"], "majority": _majority(run)} for run in runs]
    numbers: dict[str, dict[str, Any]] = {}
    for name in [*runs[0].answers, "majority"]:
        values = {key: [record[name][key] for record in records] for key in records[0][name]}
        numbers[name] = {
            key: {"mean": float(np.mean(each)), "std": float(np.std(each, ddof=1)) if len(each) > 1 else None}
            for key, each in values.items()
        }
    return numbers


def _majority(run: RunResults) -> dict[str, Any]:
    """What always answering the test part's most frequent class would reach."""
    most = np.full_like(run.truth, np.bincount(run.truth).argmax())
    return summarize_labels(most, run.truth, run.labels)


def _verdicts(runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Pairwise comparison of accuracies, each model with each."""
    names = list(runs[0].answers)
    boot = paired_bootstrap(
        [
            Answers(run.truth, np.stack([run.answers[name].predicted for name in names]), run.groups, len(run.labels))
            for run in runs
        ]
    )
    rows = []
    for (number, name), (other_number, other) in itertools.combinations(enumerate(names), 2):
        gain = boot.difference("accuracy", number, other_number)
        rows.append(
            {
                "model": name,
                "other": other,
                "gain": gain.mean,
                "low": gain.low,
                "high": gain.high,
                "verdict": verdict(gain),
            }
        )
    return rows


def _table(numbers: dict[str, dict[str, Any]]) -> str:
    lines = ["| model | what it is | " + " | ".join(COLUMNS.values()) + " |", "|---|---|" + "---:|" * len(COLUMNS)]
    for name, values in numbers.items():
        cells = [_cell(values.get(column)) for column in COLUMNS]
        lines.append(f"| {name:<12} | {WHAT_IT_IS[name]:<33} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: dict[str, float | None] | None) -> str:
    if value is None:
        return "–"
    spread = "" if value["std"] is None else f" ± {value['std']:.3f}"
    return f"{value['mean']:.3f}{spread}"


def _product_sections(run: RunResults, figures: Path) -> list[str]:
    """Figures of the best fusion on test products, each as a section of the report."""
    best, shelf = run.best_fusion, ProductShelf(run)
    draw_confusion(figures / "confusion.png", run.truth, run.answers[best].predicted, run.labels)
    sections = [_section(f"Confusion of the {best} model", "confusion")]
    if shelf.missing:
        return [*sections, f"No pictures of products: the catalogue cannot be read any more ({shelf.missing})."]
    rows = range(min(SHOWN_PRODUCTS, len(run.truth)))
    draw_products(figures / "predictions.png", [_prediction(run, shelf, best, row) for row in rows])
    sections.append(_section(f"Test products as the {best} model answers them", "predictions"))
    wrong = np.flatnonzero(run.answers[best].predicted != run.truth)[:SHOWN_PRODUCTS]
    if len(wrong):
        draw_products(figures / "misclassified.png", [_disagreement(run, shelf, int(row)) for row in wrong])
        sections.append(_section(f"What the {best} model gets wrong, and what each model said", "misclassified"))
    return [*sections, *_attention_sections(run, shelf, figures)]


def _prediction(run: RunResults, shelf: ProductShelf, model: str, row: int) -> ProductTile:
    answers = run.answers[model]
    assert answers.probabilities is not None
    right = bool(answers.predicted[row] == run.truth[row])
    lines = [(f"{run.labels[answers.predicted[row]]}  {answers.probabilities[row].max():.0%}", right)]
    if not right:
        lines.append((f"true: {run.labels[run.truth[row]]}", True))
    return ProductTile(shelf.image(run.ids[row]), shelf.title(run.ids[row]), lines)


def _disagreement(run: RunResults, shelf: ProductShelf, row: int) -> ProductTile:
    lines = [(f"true: {run.labels[run.truth[row]]}", True)]
    lines += [
        (f"{name}: {run.labels[answers.predicted[row]]}", bool(answers.predicted[row] == run.truth[row]))
        for name, answers in run.answers.items()
    ]
    return ProductTile(shelf.image(run.ids[row]), shelf.title(run.ids[row]), lines)


def _attention_sections(run: RunResults, shelf: ProductShelf, figures: Path) -> list[str]:
    path = run.folder / "intermediate" / "attention.npz"
    if not path.is_file():
        return []
    with np.load(path) as saved:
        ids, tokens, weights = saved["ids"], saved["tokens"], saved["weights"]
    sections = []
    for number in range(min(SHOWN_ATTENTION, len(ids))):
        image = shelf.image(ids[number])
        if image is not None:
            used = tokens[number] != ""
            name = f"attention-{number + 1}"
            draw_attention(
                figures / f"{name}.png",
                image,
                tokens[number][used].tolist(),
                weights[number][:, used],
                title=shelf.title(ids[number]),
            )
            sections.append(_section("Where the intermediate model looks for each word", name))
    return sections


def _document(
    runs: Sequence[RunResults], table: str, verdicts: Sequence[dict[str, Any]], sections: Sequence[str]
) -> str:
    record = runs[0].record
    split, products = record["split"], record["products"]
    parts = [
        f"# {record['target']}: five classifiers",
        f"{split['train']} training, {split['validation']} validation and {split['test']} test products "
        f"({split['kind']} split), {len(record['labels'])} classes; the catalogue had {products['read']} rows, "
        f"{products['rejected']} of them rejected. "
        + (f"Mean ± standard deviation of {len(runs)} runs." if len(runs) > 1 else f"Seed {record['seed']}."),
        table,
        "## Which differences are real",
        "Gain in accuracy of the first over the second model, with the 95 % interval of a paired bootstrap over "
        "groups. A gain counts where the interval excludes 0 and it is at least .3 points; all else is a tie.",
        _verdict_table(verdicts),
        _section("The three fusions", "fusions"),
        _section("Calibration", "calibration"),
        *sections,
        f"Made by `{record['command']}` on {record['created']}.",
    ]
    return "\n\n".join(parts) + "\n"


def _verdict_table(verdicts: Sequence[dict[str, Any]]) -> str:
    lines = ["| | | gain | 95 % interval | verdict |", "|---|---|---:|---|---|"]
    lines += [
        f"| {row['model']} | {row['other']} | {row['gain']:+.3f} | {row['low']:+.3f} … {row['high']:+.3f} "
        f"| {row['verdict']} |"
        for row in verdicts
    ]
    return "\n".join(lines)


def _section(title: str, figure: str) -> str:
    return f"## {title}\n\n![{title}](figures/{figure}.png)"
