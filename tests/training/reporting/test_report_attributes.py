"""Further attributes in a report: a table each, means over the runs, and nothing where the main one is all there is."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from written_run import write_catalogue, write_run

from handlers.product_serving.settings import Attribute
from training.reporting.document.blocks import Paragraph, Table
from training.reporting.results.run_results import RunResults, read_results
from training.reporting.sections.overview import attribute_record, further_attributes
from training.reporting.sections.report_data import ReportData


@pytest.fixture
def single(tmp_path: Path) -> RunResults:
    return read_results(write_run(tmp_path / "run", write_catalogue(tmp_path, products=30), models=("text", "late")))


def several(run: RunResults, accuracy: float) -> RunResults:
    """The run with an attribute of its own."""
    numbers = {"products": 11, "accuracy": accuracy, "macro_f1": 0.5}
    metrics: dict[str, Any] = {"baseline": {"gender": numbers}}
    metrics |= {name: {"gender": {**numbers, "ece": 0.0125}} for name in ("text", "late")}
    gender = Attribute(name="gender", labels=("Men", "Women"))
    record = dataclasses.replace(
        run.record, attributes=(run.record.main, gender), hierarchies=(("label", "gender"),), metrics=metrics
    )
    return dataclasses.replace(run, record=record)


def test_the_main_attribute_alone_has_no_such_section(single: RunResults, tmp_path: Path) -> None:
    data = ReportData([single], tmp_path)
    assert list(further_attributes(data)) == [] and attribute_record(data) == {}


def test_an_attribute_has_a_table_with_the_baseline_in_it(single: RunResults, tmp_path: Path) -> None:
    [section] = further_attributes(ReportData([several(single, 0.75), several(single, 0.85)], tmp_path))
    text, table = section.blocks
    assert isinstance(text, Paragraph) and "label determines gender" in text.text
    assert isinstance(table, Table) and table.caption == "gender: 2 classes, 11 test products with a value"
    assert [[cell.text for cell in row] for row in table.rows][1:] == [
        ["late", "80.0 ± 7.1", "50.0 ± 0.0", "0.013 ± 0.000"],
        ["TF-IDF + SVM", "80.0 ± 7.1", "50.0 ± 0.0", "–"],
    ]


def test_the_record_has_every_run(single: RunResults, tmp_path: Path) -> None:
    record = attribute_record(ReportData([several(single, 0.75), several(single, 0.85)], tmp_path))["gender"]
    assert record["late"]["accuracy"]["runs"] == [0.75, 0.85] and record["late"]["ece"]["mean"] == 0.0125
    assert list(record["baseline"]) == ["accuracy", "macro_f1"]
