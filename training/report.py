"""The report of one run or of several seeds or folds: ``report.md``, ``report.json`` and ``figures/``.

Run as ``python -m training report runs/<name> [more runs]``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.checkpoint import write_json, write_text
from training.metrics import BOOTSTRAP_DRAWS, FREQUENT, MIN_GAIN
from training.report_markdown import escape, table
from training.report_numbers import model_numbers, pair_verdicts
from training.report_runs import BASELINE, MAJORITY, RunResults, read_results
from training.report_sections import DISPLAY, SECTIONS, Section, draw_sections

WHAT_IT_IS = {
    "image": "picture alone: CNN → linear",
    "text": "title alone: BERT → linear",
    "early": "features of both, concatenated → MLP",
    "intermediate": "the picture's cells attend to the title's tokens",
    "late": "weighted average of image's and text's answers",
    BASELINE: "title alone: word counts, a linear SVM, no network",
    MAJORITY: "always the most frequent training label",
}
COLUMNS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "ece": "ECE",
    "coverage_at_95_precision": "coverage at 95 % precision",
}
MORE_COLUMNS = {
    "macro_f1_frequent": f"macro-F1, classes with ≥ {FREQUENT}",
    "brier": "Brier score",
    "area_under_risk_coverage": "area under risk-coverage",
}


def write_report(folders: Sequence[Path], *, out: Path | None = None) -> Path:
    """Write the report of complete runs, and print its table.

    Args:
        folders: runs of one experiment: one, or several seeds or folds.
        out: folder to write to; None takes the first run's.

    Returns:
        The path of ``report.md``, which is written last.

    Raises:
        RunError: a run is not complete.
    """
    runs = [read_results(folder) for folder in folders]
    out = out or runs[0].folder
    numbers = model_numbers(runs)
    print(f"\n{_headline(runs)}\n\n{comparison_table(numbers)}\n", flush=True)
    verdicts = pair_verdicts(runs)
    notes = _notes(runs, verdicts)
    print("\n".join(f"- {note}" for note in notes) + "\n", flush=True)
    sections = list(tqdm(draw_sections(runs, out / "figures"), desc="drawing figures", total=SECTIONS, leave=False))
    write_json(out / "report.json", _record(runs, numbers, verdicts, notes, sections))
    write_text(out / "report.md", _document(runs, numbers, verdicts, notes, sections))
    return out / "report.md"


def comparison_table(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a model: the numbers of :data:`COLUMNS` and what it is; Markdown that is aligned for a terminal as well.

    Args:
        numbers: as from :func:`training.report_numbers.model_numbers`.
    """
    rows = [
        [DISPLAY.get(name, name), *(_cell(values.get(column)) for column in COLUMNS), WHAT_IT_IS.get(name, "")]
        for name, values in numbers.items()
    ]
    return table(["model", *COLUMNS.values(), "what it is"], rows, right=range(1, len(COLUMNS) + 1))


def _document(
    runs: Sequence[RunResults],
    numbers: Mapping[str, Mapping[str, Any]],
    verdicts: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
    sections: Sequence[Section],
) -> str:
    parts = [
        f"# {escape(runs[0].record['target'])}: the models compared",
        _headline(runs),
        comparison_table(numbers),
        _legend(numbers),
        "\n".join(f"- {note}" for note in notes),
        "## Which differences are real",
        f"The first model's number minus the second's, in points, with the 95 % interval of a paired bootstrap over "
        f"groups of products that belong together ({BOOTSTRAP_DRAWS:,} draws). *Better* or *worse* only where the "
        f"interval excludes 0, the sign holds in most runs, and the difference is at least {100 * MIN_GAIN:.1f} "
        "points; otherwise *tie*.",
        _verdict_table(verdicts),
        "## More numbers",
        _more_table(numbers),
        *(_markdown(section) for section in sections),
        "## How it was made",
        *(_provenance(run) for run in runs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(runs: Sequence[RunResults]) -> str:
    record, tested = runs[0].record, [len(run.ids) for run in runs]
    products = f"{tested[0]:,}" if len(set(tested)) == 1 else f"{min(tested):,} to {max(tested):,}"
    several = f" in each of {len(runs)} runs (mean ± standard deviation)" if len(runs) > 1 else ""
    return (
        f"{escape(record['target'])}: {len(runs[0].labels)} classes, {products} test products{several}, "
        f"{record['split']['kind']} split."
    )


def _legend(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    first = next(iter(numbers.values()))
    return (
        f"Macro-F1: mean over the {first['classes']['mean']:g} classes that have test products. ECE: expected "
        "calibration error, 15 bins. Coverage: share of the products that can be answered, the most confident first, "
        "while 95 % of the answers are right."
    )


def _notes(runs: Sequence[RunResults], verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader has to know before believing the table."""
    notes = [_against_baseline(verdicts)]
    step = 1 / min(len(run.ids) for run in runs)
    if step > MIN_GAIN:
        notes.append(f"Few test products: each one weighs {100 * step:.1f} points of accuracy.")
    if any(run.record["split"]["kind"] == "stratified" for run in runs):
        notes.append(
            "Plain split: equal titles and near-identical pictures may be in training and test alike, which flatters "
            "every model; `--split grouped` keeps them on one side."
        )
    if differing := _differing(runs):
        notes.append(f"These runs differ in {', '.join(differing)}: the means mix different experiments.")
    return notes


def _against_baseline(verdicts: Sequence[Mapping[str, Any]]) -> str:
    by_verdict: dict[str, list[str]] = {"better": [], "tie": [], "worse": []}
    for pair in verdicts:
        if pair["other"] == BASELINE:
            by_verdict[pair["accuracy"]["verdict"]].append(pair["model"])
    parts = [f"{verdict}: {', '.join(names)}" for verdict, names in by_verdict.items() if names]
    return f"Accuracy against TF-IDF + linear SVM on the title: {'; '.join(parts)}."


def _differing(runs: Sequence[RunResults]) -> list[str]:
    """Arguments, the seed aside, that are not the same in all runs."""
    arguments = [run.record["arguments"] for run in runs]
    return sorted(
        name
        for name in arguments[0]
        if name != "seed" and any(each.get(name) != arguments[0][name] for each in arguments)
    )


def _verdict_table(verdicts: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for pair in verdicts:
        names = [DISPLAY.get(pair[side], pair[side]) for side in ("model", "other")]
        rows.append([" against ".join(names), *_judged(pair["accuracy"]), *_judged(pair["macro_f1"])])
    judged = ("95 % interval", "verdict")
    return table(["compared", "accuracy", *judged, "macro-F1", *judged], rows, right=(1, 2, 4, 5))


def _judged(difference: Mapping[str, Any]) -> list[str]:
    mean, low, high = (f"{round(100 * difference[key], 1) + 0.0:+.1f}" for key in ("mean", "low", "high"))
    verdict = difference["verdict"]
    return [mean, f"{low} … {high}", verdict if verdict == "tie" else f"**{verdict}**"]


def _more_table(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [DISPLAY.get(name, name), *(_cell(values.get(column)) for column in MORE_COLUMNS)]
        for name, values in numbers.items()
    ]
    return table(["model", *MORE_COLUMNS.values()], rows, right=range(1, len(MORE_COLUMNS) + 1))


def _markdown(section: Section) -> str:
    picture = f"\n\n![{section.title}](figures/{section.figure})" if section.figure else ""
    return f"## {section.title}\n\n{section.text}{picture}"


def _provenance(run: RunResults) -> str:
    record = run.record
    products, split = record["products"], record["split"]
    lines = [
        f"**{escape(run.folder.name)}**, {record['created']}, seed {record['seed']}",
        f"- `{record['command'].replace('`', '')}`",
        f"- catalogue: {products['read']:,} rows read = {products['used']:,} used + {products['rejected']:,} rejected",
        f"- {split['kind']} split: {split['train']:,} training, {split['validation']:,} validation and "
        f"{split['test']:,} test products, `{split['hash'][:16]}`",
        f"- seconds: {', '.join(f'{escape(stage)} {seconds:,.0f}' for stage, seconds in record['seconds'].items())}",
    ]
    return lines[0] + "\n\n" + "\n".join(lines[1:])


def _record(
    runs: Sequence[RunResults],
    numbers: Mapping[str, Any],
    verdicts: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
    sections: Sequence[Section],
) -> dict[str, Any]:
    """The content of ``report.json``."""
    kept = ("seed", "created", "command", "arguments", "products", "split", "seconds")
    return {
        "target": runs[0].record["target"],
        "runs": [{"name": run.folder.name, **{key: run.record[key] for key in kept}} for run in runs],
        "models": numbers,
        "verdicts": verdicts,
        "notes": notes,
        "figures": {section.figure: section.title for section in sections if section.figure},
    }


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "–"
    spread = "" if value["std"] is None else f" ± {value['std']:.3f}"
    return f"{value['mean']:.3f}{spread}"
