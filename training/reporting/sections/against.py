"""The section that sets a run beside an earlier one: what got better, what worse, by model and by class."""

from collections.abc import Sequence
from pathlib import Path

from training.reporting.document.blocks import Block, Cell, Column, Paragraph, Section, Table, Tone
from training.reporting.document.markdown import padded_table
from training.reporting.results.model_comparison import signed_points
from training.reporting.results.model_names import display_name
from training.reporting.results.run_comparison import ModelChange, RunComparison, compare_runs
from training.reporting.results.run_results import read_results
from training.run.checkpoint import RunError
from training.scores.class_differences import ClassDifference
from training.scores.metrics import FREQUENT, Difference, verdict

TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "tie": "muted", "": "muted"}
SHOWN_CLASSES = 20


def earlier_run(folders: Sequence[Path], against: Path) -> RunComparison:
    """Compare the only run with an earlier one.

    Raises:
        RunError: there are several runs, or the two cannot be compared.
    """
    if len(folders) != 1:
        raise RunError(
            f"--against compares one run with an earlier one, {len(folders)} are named: name the later one alone"
        )
    return compare_runs(read_results(folders[0]), read_results(against))


def print_comparison(comparison: RunComparison) -> None:
    """Print the comparison with an earlier run."""
    print(f"{against_sentence(comparison)}\n", flush=True)
    for table in (model_table(comparison), class_table(comparison)):
        names, rows = table_texts(table)
        print(f"{padded_table(names, rows, right=range(1, len(names)))}\n", flush=True)


def against_section(comparison: RunComparison) -> Section:
    """The section."""
    blocks: list[Block] = [
        Paragraph(against_sentence(comparison)),
        Paragraph(_basis(comparison)),
        model_table(comparison),
    ]
    return Section("against", "Beside the earlier run", [*blocks, class_table(comparison)])


def against_sentence(comparison: RunComparison) -> str:
    """One sentence on the featured model, and one on its classes."""
    change = comparison.models[comparison.featured]
    verdicts = [each.verdict for each in comparison.classes if each.verdict]
    better, worse = verdicts.count("better"), verdicts.count("worse")
    judged = {"better": "better", "worse": "worse", "tie": "no measurable difference"}[verdict(change.accuracy)]
    return (
        f"{display_name(comparison.featured)} against {comparison.earlier}: accuracy {_points(change, 0)} %, "
        f"{_interval(change.accuracy)} points: {judged}. "
        f"Of {len(verdicts)} classes {better} are better, {worse} worse"
        + (f" (about {0.05 * len(verdicts):.0f} would seem so by chance)." if len(verdicts) >= 20 else ".")
    )


def model_table(comparison: RunComparison) -> Table:
    """Accuracy and macro-F1 of each model in both runs."""
    rows = []
    for name, change in comparison.models.items():
        cells = [Cell(display_name(name))]
        for place, difference in enumerate((change.accuracy, change.macro_f1)):
            cells += [
                Cell(_points(change, place), change.now[place]),
                Cell(_interval(difference), difference.mean, TONES[verdict(difference)]),
            ]
        rows.append(cells)
    names = ("accuracy %", "points (95 %)", "macro-F1 %", "points (95 %)")
    return Table([Column("model"), *(Column(name, number=True) for name in names)], rows, "Before -> now")


def class_table(comparison: RunComparison) -> Table:
    """F1 of each class in both runs."""
    columns = [
        Column("class"),
        *(Column(name, number=True) for name in ("products", "F1 %", "points (95 %)")),
        Column(""),
    ]
    rows = [
        [
            Cell(comparison.labels[each.place]),
            Cell(f"{each.products:,}", each.products),
            Cell(f"{100 * each.before:.1f} -> {100 * each.now:.1f}", each.now),
            Cell(_class_interval(each), each.difference, TONES[each.verdict]),
            Cell(each.verdict if each.verdict != "tie" else "", None, TONES[each.verdict]),
        ]
        for each in comparison.classes
    ]
    caption = f"Classes, by {display_name(comparison.featured)}; those that gained most come first"
    return Table(columns, rows, caption, sortable=True, first=SHOWN_CLASSES)


def table_texts(table: Table) -> tuple[list[str], Sequence[Sequence[str]]]:
    """Names of the columns, and the texts of the rows that are shown."""
    return [column.name for column in table.columns], [[cell.text for cell in row] for row in table.rows[: table.first]]


def _basis(comparison: RunComparison) -> str:
    parts = [f"Both runs are judged on {comparison.products:,} test products of both, by the labels of the later run."]
    if comparison.relabelled:
        parts.append(f"{comparison.relabelled:,} of these labels are new.")
    if comparison.left_out:
        parts.append(f"{comparison.left_out:,} test products are left out: the earlier run did not test them.")
    parts.append(f"Intervals are of a paired bootstrap; classes with fewer than {FREQUENT} products have none.")
    return " ".join(parts)


def _points(change: ModelChange, place: int) -> str:
    return f"{100 * change.before[place]:.1f} -> {100 * change.now[place]:.1f}"


def _interval(difference: Difference) -> str:
    low, high = signed_points(difference.low), signed_points(difference.high)
    return f"{signed_points(difference.mean)} ({low} to {high})"


def _class_interval(each: ClassDifference) -> str:
    if each.low is None or each.high is None:
        return signed_points(each.difference)
    return f"{signed_points(each.difference)} ({signed_points(each.low)} to {signed_points(each.high)})"
