"""Labels are damaged as asked, and what is found is counted against them."""

import csv
from pathlib import Path

import numpy as np

from benchmarks.studies.label_audit import measure_answers, table
from benchmarks.studies.sampled_catalogue import sample_products, write_damaged
from client.audit.findings import AuditAnswers
from training.catalog import CatalogSource

CLASSES = ("Bags", "Hats", "Shoes")


def sure_answers(count: int) -> AuditAnswers:
    """Of products whose labels are right, as a model says that knows all of them."""
    truth = np.arange(count) % 3
    said = np.full((count, 3), 0.05, dtype=np.float32)
    said[np.arange(count), truth] = 0.9
    rows = [{"id": f"p{row}", "line": row + 2, "image": "", "text": ""} for row in range(count)]
    return AuditAnswers(rows, np.array(CLASSES)[truth], CLASSES, {"title": said})


def test_a_model_that_knows_everything_finds_all() -> None:
    result = measure_answers(sure_answers(60), share=0.1, seed=0)
    assert (result["products"], result["damaged"], result["first_n"]) == (60, 6, 1)
    assert result["contradicted"] == result["clear"] == {"found": 6, "precision": 1, "recall": 1}
    assert table([result, result]).splitlines()[2] == "| 10% (n = 6) | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 |"


def test_a_part_of_a_catalogue_with_damaged_labels(drawn_catalogue: Path, tmp_path: Path) -> None:
    source = CatalogSource(path=str(drawn_catalogue), label_column="label")
    sampled = sample_products(source, tmp_path, count=40, min_class=10)
    path, wrong = write_damaged(sampled, share=0.2, seed=1)
    with path.open(encoding="utf-8", newline="") as file:
        labels = {row["id"]: row["label"] for row in csv.DictReader(file)}
    right = {row.id: row.label for row in sampled.rows}
    assert len(labels) == 40 and len(wrong) == 8
    assert {id for id in labels if labels[id] != right[id]} == wrong
    assert all((tmp_path / row.image).is_file() for row in sampled.rows if row.image)
