"""What run.json says comes back as it was, and only from this version of the package."""

import dataclasses
import json
from pathlib import Path

import pytest

from handlers.product_serving.settings import Attribute
from training.catalog.reading import CatalogSource
from training.run.checkpoint import RunError
from training.run.record import ProductCounts, RunRecord, SplitCounts, read_run, write_run_record
from training.system.device import Device


@pytest.fixture
def record() -> RunRecord:
    return RunRecord(
        source=CatalogSource(path="shop.csv", label_column="kind", attribute_columns=["gender"]),
        attributes=(Attribute(name="kind", labels=("a", "b")), Attribute(name="gender", labels=("x", "y"))),
        hierarchies=(("kind", "gender"),),
        seed=3,
        created="2026-01-02T03:04:05+00:00",
        command="python -m training train --data shop.csv",
        arguments={"image_size": 64},
        device=Device("cpu", False, "no AMX"),
        products=ProductCounts(read=31, used=30, rejected=1, sampled=20),
        split=SplitCounts(kind="grouped", hash="01", train=10, validation=5, test=5),
        models=("image", "late"),
        seconds={"image": 1.5},
        peak_memory_gib=1.25,
        metrics={"image": {"kind": {"accuracy": 0.5}}},
    )


@pytest.mark.parametrize("corrected", [None, 2])
def test_a_record_comes_back_as_it_was(record: RunRecord, tmp_path: Path, corrected: int | None) -> None:
    record = dataclasses.replace(record, products=dataclasses.replace(record.products, corrected=corrected))
    write_run_record(tmp_path, record)
    assert read_run(tmp_path) == record and record.main.name == "kind"
    written = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert written["attributes"] == {"kind": ["a", "b"], "gender": ["x", "y"]}
    assert ("corrected" in written["products"]) == (corrected is not None)


def test_a_folder_without_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": None}, "another version of this package: train the run again"),
        ({"version": 3}, "another version of this package: train the run again"),
        ({"split": {}}, "damaged.*train the run again"),
        ({"more": 1}, "damaged.*train the run again"),
    ],
)
def test_what_is_no_record_of_this_version_is_refused(
    record: RunRecord, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**record.as_dict(), **changes}), encoding="utf-8")
    with pytest.raises(RunError, match=message):
        read_run(tmp_path)
