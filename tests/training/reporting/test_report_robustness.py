"""Robustness in a report: reading, verdicts on fusions, figures and tables."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from written_run import MODELS, write_catalogue, write_run

from training.evaluation.conditions import CONDITIONS
from training.reporting.document.blocks import Figure, Paragraph, Table
from training.reporting.results.run_results import RunResults, read_results
from training.reporting.sections.report_data import ReportData
from training.reporting.sections.robustness import judge_fusions, read_conditions, robustness, robustness_record
from training.run.checkpoint import RunError
from training.run.record import ROBUSTNESS_FILE

CLEAN = {"image": 0.88, "text": 0.96, "early": 0.97, "intermediate": 0.97, "late": 0.97, "baseline": 0.95}
NO_TITLE = {"image": 0.88, "text": 0.1, "early": 0.87, "intermediate": 0.876, "late": 0.88, "baseline": 0.1}
HALF_TITLES = {"image": 0.88, "text": 0.5, "early": 0.93, "intermediate": 0.92, "late": 0.93, "baseline": 0.5}
WORDS = ["clean", "title missing, 50 %", "title missing, 100 %", "blur"]
BLURRED = {"image": 0.7, "text": 0.96, "early": 0.96, "intermediate": 0.965, "late": 0.956, "baseline": 0.95}


def write_robustness(run: Path, conditions: Mapping[str, tuple[str, str, Mapping[str, float]]]) -> None:
    """``robustness.json`` of a run: by name kind, tick and the accuracy of every model; macro-F1 is a tenth lower."""
    content: dict[str, Any] = {
        "conditions": [
            {
                "name": name,
                "kind": kind,
                "tick": tick,
                "changed": {"title": 0.9, "image": 0.0},
                "models": {
                    model: {"accuracy": accuracy, "macro_f1_frequent": accuracy - 0.1}
                    for model, accuracy in models.items()
                },
            }
            for name, (kind, tick, models) in conditions.items()
        ]
    }
    (run / ROBUSTNESS_FILE).write_text(json.dumps(content), encoding="utf-8")


def measured(no_title: Mapping[str, float] = NO_TITLE) -> dict[str, tuple[str, str, Mapping[str, float]]]:
    """Four conditions."""
    return {
        "clean, none": ("clean", "none", CLEAN),
        "title missing, 50 %": ("title missing", "50 %", HALF_TITLES),
        "title missing, 100 %": ("title missing", "100 %", no_title),
        "blur": ("blur", "", BLURRED),
    }


@pytest.fixture
def runs(tmp_path: Path) -> list[RunResults]:
    catalogue = write_catalogue(tmp_path / "shop", products=20)
    folders = [write_run(tmp_path / name, catalogue) for name in ("one", "two", "unmeasured")]
    write_robustness(folders[0], measured())
    better = {name: accuracy + 0.02 for name, accuracy in NO_TITLE.items()}
    write_robustness(folders[1], {**measured(no_title=better), "only here": ("noise", "", BLURRED)})
    return [read_results(folder) for folder in folders]


def test_conditions_that_all_measured_runs_have_are_read(runs: list[RunResults]) -> None:
    conditions = read_conditions(runs)
    assert [each.name for each in conditions] == WORDS
    assert conditions[2].scores["accuracy"]["early"] == pytest.approx([0.87, 0.89])
    assert conditions[2].mean("macro_f1_frequent", "early") == pytest.approx(0.78)
    assert conditions[0].models == [*MODELS, "baseline"]
    assert conditions[1].changed == {"title": 0.9, "image": 0.0}


def test_the_grid_that_is_measured_can_be_read(tmp_path: Path) -> None:
    """The names of training.evaluation.conditions, so that the writer and the reader change together."""
    run = write_run(tmp_path / "run", write_catalogue(tmp_path / "shop", products=20))
    write_robustness(run, {each.name: (each.kind, each.tick, CLEAN) for each in CONDITIONS})
    conditions = read_conditions([read_results(run)])
    assert len({each.name for each in conditions}) == len(CONDITIONS)
    assert conditions[0].kind == "clean" and len(list(robustness(ReportData([read_results(run)], tmp_path)))) == 1


def test_a_fusion_is_judged_against_the_single_model_that_copes_best(runs: list[RunResults]) -> None:
    fusions = ["early", "intermediate", "late"]
    half, none, blur = (judge_fusions(each, fusions, metric="accuracy") for each in read_conditions(runs)[1:])
    assert [each.best_single for each in (half, none, blur)] == ["image", "image", "text"]
    assert half.verdict == "all above" and not half.failures
    assert none.failures == ["early"] and none.verdict == "failure: early"
    assert none.gains == pytest.approx({"early": -0.01, "intermediate": -0.004, "late": 0.0})
    assert blur.verdict == "none below"


def test_without_both_single_models_there_is_no_verdict(runs: list[RunResults], tmp_path: Path) -> None:
    for run in runs:
        run.answers.pop("image")
    [section] = robustness(ReportData(runs, tmp_path))
    assert [block.kind for block in section.blocks] == ["paragraph", "figure", "figure", "table", "table"]


def test_the_section_names_failures_and_shows_all_conditions(runs: list[RunResults], tmp_path: Path) -> None:
    [section] = robustness(ReportData(runs, tmp_path / "figures"))
    _, summary, curves, dots, verdicts, accuracies, macro = section.blocks
    assert isinstance(summary, Paragraph)
    assert summary.text == (
        "By accuracy, a fusion fails in 1 of 3 conditions: early. "
        "By macro-F1, a fusion fails in 1 of 3 conditions: early."
    )
    assert isinstance(curves, Figure) and isinstance(dots, Figure)
    for figure in (curves, dots):
        with Image.open(tmp_path / "figures" / figure.file) as picture:
            assert min(picture.size) > 100
    assert isinstance(verdicts, Table) and isinstance(accuracies, Table) and isinstance(macro, Table)
    assert [row[0].text for row in verdicts.rows] == WORDS[1:]
    assert [(cell.text, cell.tone) for cell in verdicts.rows[1][1:]] == [
        ("failure: early", "bad"),
        ("failure: early", "bad"),
        ("image", ""),
        ("89.0", ""),
        ("−1.0", "bad"),
        ("−0.4", ""),
        ("+0.0", ""),
    ]
    assert [row[0].text for row in accuracies.rows] == WORDS
    assert [cell.text for cell in accuracies.rows[0][1:4]] == ["90", "0", "88.0 ± 0.0"]
    assert macro.rows[0][3].text == "78.0 ± 0.0"


def test_numbers_go_into_the_record(runs: list[RunResults], tmp_path: Path) -> None:
    record = robustness_record(ReportData(runs, tmp_path))
    assert [each["condition"] for each in record] == WORDS
    assert record[2]["accuracy"]["early"]["runs"] == pytest.approx([0.87, 0.89])


def test_runs_that_were_not_measured_have_no_such_section(runs: list[RunResults], tmp_path: Path) -> None:
    assert list(robustness(ReportData(runs[2:], tmp_path))) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"conditions": 1}', '{"conditions": [{"kind": "blur"}]}'])
def test_a_file_that_cannot_be_read_is_named(runs: list[RunResults], content: str) -> None:
    (runs[0].folder / ROBUSTNESS_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"robustness\.json cannot be read .*--robustness"):
        read_conditions(runs)
