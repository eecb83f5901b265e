"""The operations of a step on a GPU, and the error where there is none."""

import pytest
import torch
from known_model import LABELS

from benchmarks.studies.gpu_step import Turn, _lines, main, operations, products
from handlers.product_serving.engines.graph_replay import Size


def test_operations_are_two_a_multiplication_and_addition() -> None:
    linear = torch.nn.Linear(3 * 8 * 8, len(LABELS))
    batch = products(5, 4, 8)
    found = operations(lambda image, ids, mask, present, ngrams: linear(image.float().flatten(1)), batch)
    assert found == 2 * 5 * 3 * 8 * 8 * len(LABELS)


def test_the_table_shows_medians_and_the_share() -> None:
    turns = [Turn(Size(64, 16), 0.001 * number, 0.002, 0.1 * number) for number in (1, 3, 4)]
    text = "\n".join(_lines(turns))
    assert "64 x 16" in text and "3.00 (1.00 to 4.00)" in text and "30.00 (10.00 to 40.00)" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["gpu_step", "model_store/intermediate.mar"])
    assert main() == 1
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("error: no GPU here")
