"""Answers of three passes become arrays of all classes, and a catalogue's answers are never all objects at once."""

import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.audit import modality_answers
from client.audit.modality_answers import fill_unlisted, read_answers
from client.scoring.workspace import PREDICTIONS_SCHEMA

CLASSES = ("Bags", "Hats", "Shoes")
SAID = {"picture": "image", "title": "text", "together": "image+text"}


def answer(line: int, modalities: str, **top: float) -> dict[str, Any]:
    listed = [{"label": label, "score": score} for label, score in top.items()]
    own = {"line": line, "id": f"p{line}", "image": "", "text": f"Title {line}"}
    return {**own, "label": "", "score": 0.0, "needs_review": False, "modalities": modalities, "top": listed}


def written(folder: Path, modalities: Mapping[str, list[dict[str, Any]]]) -> Path:
    for modality, rows in modalities.items():
        (folder / "scores" / modality).mkdir(parents=True)
        table = pa.Table.from_pylist(rows, schema=PREDICTIONS_SCHEMA)
        pq.write_table(table, folder / "scores" / modality / "predictions.parquet")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Line 2 was answered by both modalities, line 3 by its title alone, and line 4 has no label."""
    return written(
        tmp_path,
        {
            "picture": [answer(2, "image", Bags=0.7)],
            "title": [answer(2, "text", Hats=0.4, Gone=0.4), answer(3, "text", Shoes=0.6, Bags=0.3)],
            "together": [
                answer(2, "image+text", Bags=0.9, Hats=0.1, Shoes=0.0),
                answer(3, "text", Shoes=0.6, Bags=0.3),
                answer(4, "image", Boots=1.0),
            ],
        },
    )


@pytest.mark.parametrize("batch", [1, 8192])
def test_every_modality_has_the_probabilities_of_its_answer(
    out: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modality_answers, "BATCH_ROWS", batch)
    found = read_answers(out, {2: "Bags", 3: "Shoes"}, CLASSES)
    assert found.given.tolist() == ["Bags", "Shoes"]
    assert found.rows == [{"id": f"p{line}", "line": line, "image": "", "text": f"Title {line}"} for line in (2, 3)]
    expected = {
        "picture": [[0.7, 0.15, 0.15], [np.nan] * 3],
        "title": [[0.3, 0.4, 0.3], [0.3, 0.1, 0.6]],
        "together": [[0.9, 0.1, 0.0], [0.3, 0.1, 0.6]],
    }
    for modality, rows in expected.items():
        np.testing.assert_allclose(found.probabilities[modality], rows, atol=1e-6)


def test_classes_that_nobody_lists_are_those_that_were_named(out: Path) -> None:
    assert list(read_answers(out, {2: "Bags"}).labels) == ["Bags", "Boots", "Gone", "Hats", "Shoes"]


def test_what_an_answer_does_not_list_shares_what_is_left() -> None:
    rows = np.array([[0.7, np.nan, np.nan], [0.8, 0.4, np.nan], [np.nan] * 3], dtype=np.float32)
    fill_unlisted(rows)
    np.testing.assert_allclose(rows, [[0.7, 0.15, 0.15], [2 / 3, 1 / 3, 0], [np.nan] * 3], atol=1e-6)


def test_reading_takes_little_more_than_the_arrays(tmp_path: Path) -> None:
    """Not a dict for each class that an answer lists."""
    names = {f"class {each}": 0.05 for each in range(20)}
    rows = {modality: [answer(line, read, **names) for line in range(2000)] for modality, read in SAID.items()}
    out, given = written(tmp_path, rows), dict.fromkeys(range(2000), "class 0")
    del rows
    tracemalloc.start()
    found = read_answers(out, given, list(names))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6 and sum(each.nbytes for each in found.probabilities.values()) == 3 * 2000 * 20 * 4
