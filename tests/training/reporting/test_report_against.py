"""A report beside an earlier run: the same test products, one truth, what got better."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from written_run import LABELS, TEST, write_catalogue, write_run

from training.__main__ import main
from training.reporting.results.run_comparison import compare_runs
from training.reporting.results.run_results import read_results
from training.reporting.sections.against import against_sentence
from training.run.checkpoint import RunError
from training.scores.class_differences import class_differences
from training.scores.metrics import RunPredictions


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    return write_catalogue(tmp_path / "shop", products=30)


@pytest.fixture
def earlier(tmp_path: Path, catalogue: Path) -> Path:
    """It is wrong about all bags but one (0, 3, 6, 9 are bags)."""
    return write_run(tmp_path / "old", catalogue, wrong={"intermediate": [3, 6, 9], "late": [0]})


def test_the_gain_is_told_by_model_and_by_class(
    tmp_path: Path, catalogue: Path, earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = write_run(tmp_path / "new", catalogue, wrong={"intermediate": [1]})
    assert main(["report", str(later), "--against", str(earlier), "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert f"against {earlier}: accuracy 75.0 -> 91.7 %, +16.7 (" in said
    record = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["against"]
    assert (record["products"], record["left_out"], record["relabelled"]) == (TEST, 0, 0)
    assert record["models"]["late"]["accuracy"]["mean"] == pytest.approx(1 / 12)
    f1 = {each["label"]: (each["before"], each["now"]) for each in record["classes"]}
    assert f1["Bags"] == pytest.approx((2 * 1 / (4 + 1), 1.0))
    for name in ("report.html", "report.md"):
        assert "Beside the earlier run" in (tmp_path / "report" / name).read_text(encoding="utf-8")


def test_both_are_judged_by_the_later_labels(tmp_path: Path, catalogue: Path) -> None:
    old = write_run(tmp_path / "old", catalogue, wrong={"intermediate": [0]})
    table = pd.read_csv(catalogue, dtype=str, keep_default_na=False)
    table.loc[0, "label"] = "Shirts"  # the label was wrong, and the earlier model was right about it
    table.to_csv(catalogue, index=False)
    new = write_run(tmp_path / "new", catalogue)
    found = compare_runs(read_results(new), read_results(old))
    assert found.relabelled == 1
    assert found.models["intermediate"].before[0] == found.models["intermediate"].now[0] == 1
    assert "no measurable difference" in against_sentence(found)


def test_other_classes_and_other_test_products_are_no_error(tmp_path: Path, catalogue: Path) -> None:
    old = write_run(tmp_path / "old", catalogue, labels=("Bags", "Shirts", "Shoes", "Ties"))
    table = pd.read_csv(catalogue, dtype=str, keep_default_na=False)
    table.loc[:3, "id"] = [f"q{number}" for number in range(4)]
    table.to_csv(catalogue, index=False)
    found = compare_runs(read_results(write_run(tmp_path / "new", catalogue)), read_results(old))
    assert (found.products, found.left_out) == (TEST - 4, 4) and list(found.labels) == [*LABELS, "Ties"]


def test_what_cannot_be_compared_is_said(
    tmp_path: Path, catalogue: Path, earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_run(tmp_path / "other", catalogue, target="kind")
    with pytest.raises(RunError, match=r"is about kind, .* about label: compare runs of one column"):
        compare_runs(read_results(other), read_results(earlier))
    table = pd.read_csv(catalogue, dtype=str, keep_default_na=False)
    table["id"] = "q" + table["id"]
    table.to_csv(catalogue, index=False)
    renamed = write_run(tmp_path / "renamed", catalogue)
    assert main(["report", str(renamed), "--against", str(earlier)]) == 1
    assert "have no test product in common" in capsys.readouterr().err
    assert main(["report", str(renamed), str(other), "--against", str(earlier)]) == 1
    assert "--against compares one run with an earlier one, 2 are named" in capsys.readouterr().err
    assert not (renamed / "report.html").exists()


def test_a_class_is_better_only_beyond_chance() -> None:
    truth = np.repeat(np.arange(3), [40, 40, 3])
    now, before = truth.copy(), truth.copy()
    before[:20], before[40], before[80:] = 1, 0, 0
    found = {
        each.place: each for each in class_differences(RunPredictions(truth, np.stack([now, before]), np.arange(83), 3))
    }
    assert found[0].verdict == "better" and 0 < (found[0].low or 0) < found[0].difference < (found[0].high or 0)
    assert found[2].verdict == "" and found[2].difference == 1, "three products are too few to judge"
    same = class_differences(RunPredictions(truth, np.stack([now, now]), np.arange(83), 3))
    assert [each.verdict for each in same] == ["tie", "tie", ""]
