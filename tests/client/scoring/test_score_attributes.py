"""Scores of a model that tells several attributes: columns of their own, in every file, and none otherwise."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from stub_engine import StubEngine, answer, rows_of, run

from client.api.errors import ServerError
from client.api.inference import Product
from client.api.predictions import AttributeAnswer, Prediction


class SeveralEngine(StubEngine):
    """Answers a gender beside the label, and something that is called as a column is."""

    def _ask(self, products: Sequence[Product]) -> list[Prediction | ServerError]:
        return [_with_attributes(said) for said in super()._ask(products)]


def _with_attributes(said: Prediction | ServerError) -> Prediction | ServerError:
    if isinstance(said, ServerError):
        return said
    gender = AttributeAnswer("Women", said.score / 2, said.needs_review)
    return dataclasses.replace(said, attributes={"gender": gender, "score": AttributeAnswer("high", 0.5, True)})


def test_attributes_are_columns_behind_all_others(catalogue: Path, tmp_path: Path) -> None:
    run(catalogue, tmp_path / "plain", StubEngine())
    summary = run(catalogue, tmp_path / "out", SeveralEngine())
    plain, rows, review = (
        rows_of(tmp_path / name) for name in ("plain/predictions.csv", "out/predictions.csv", "out/review.csv")
    )
    further = ["gender", "gender_score", "gender_needs_review"]
    further += [f"attribute_score{part}" for part in ("", "_score", "_needs_review")]
    assert list(rows[0]) == [*plain[0], *further] == list(review[0])
    assert [{name: row[name] for name in plain[0]} for row in rows] == plain
    for row in rows:
        assert (row["gender"], float(row["gender_score"])) == ("Women", float(row["score"]) / 2)
        assert row["gender_needs_review"] == row["needs_review"] and row["attribute_score"] == "high"
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["gender_score"] for row in table] == [float(row["gender_score"]) for row in rows]
    assert summary["review"] == len(review) < len(rows)  # of the label alone


def test_an_answer_comes_back_from_json_with_its_attributes() -> None:
    said = _with_attributes(answer(Product(None, "Shoe")))
    assert isinstance(said, Prediction)
    assert Prediction.from_json(json.loads(json.dumps(said.as_dict()))) == said
    assert "attributes" not in dataclasses.replace(said, attributes={}).as_dict()
