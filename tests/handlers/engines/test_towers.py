"""A tower is computed only for the products that have something for it to read, in every engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_cpu_engines import batch

from handlers.product_serving.engines.engine import Batch, EngineError, Parts, no_features
from handlers.product_serving.engines.onnx import OnnxEngine, OnnxGraph
from handlers.product_serving.engines.openvino import OpenVinoEngine
from handlers.product_serving.engines.torchscript import TorchScriptEngine
from handlers.product_serving.engines.towers import Towers

EVERY = {"onnx": OnnxEngine, "openvino": OpenVinoEngine, "torchscript": TorchScriptEngine}


class Counted:
    """Parts that record how many products each tower reads."""

    def __init__(self, parts: Parts) -> None:
        self.read: dict[str, list[int]] = {name: [] for name in ("cells", "tokens", "lexical")}
        self.parts = parts._replace(**{name: self._counted(name, getattr(parts, name)) for name in self.read})

    def _counted(self, name: str, part: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arrays: NDArray[Any]) -> Any:
            self.read[name].append(len(arrays[0]))
            return part(*arrays)

        return no_features if part is no_features else run


def mixed(count: int, *, pictures: list[int], titles: list[int]) -> Batch:
    products = batch(count, 6)
    products.present[:] = False
    products.present[pictures, 0] = True
    products.present[titles, 1] = True
    return products


CASES = [
    ([0, 3, 7], [0, 1, 2, 4, 5, 6]),
    ([], list(range(8))),
    (list(range(8)), []),
    (list(range(8)), list(range(8))),
]


@pytest.mark.parametrize(("pictures", "titles"), CASES)
def test_each_tower_reads_only_what_is_there(graphs: Path, pictures: list[int], titles: list[int]) -> None:
    counted = Counted(OnnxEngine(graphs / "model.onnx", threads=1).parts())
    towers, products = Towers(counted.parts), mixed(8, pictures=pictures, titles=titles)
    towers(products)  # finds the shapes of missing features
    for read in counted.read.values():
        read.clear()
    logits, _ = towers(products)
    assert counted.read["cells"] == [len(pictures)] * bool(pictures)
    assert counted.read["tokens"] == counted.read["lexical"] == [len(titles)] * bool(titles)
    whole = OnnxGraph(graphs / "model.onnx", threads=1)(products)
    np.testing.assert_allclose(logits, whole, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("pictures", "titles"), CASES)
def test_every_engine_answers_mixed_batches_as_the_whole_graph_does(
    graphs: Path, name: str, pictures: list[int], titles: list[int]
) -> None:
    try:
        if name == "torchscript":
            engine: Any = TorchScriptEngine(graphs / "model.pt", device="cpu", threads=torch.get_num_threads())
        else:
            engine = EVERY[name](graphs / "model.onnx", threads=1)
    except EngineError as error:
        pytest.skip(str(error))
    products = mixed(8, pictures=pictures, titles=titles)
    whole = OnnxGraph(graphs / "model.onnx", threads=1)(products)
    atol = 1e-5 if name != "openvino" else 0.02 * np.abs(whole).max()
    np.testing.assert_allclose(engine(products), whole, atol=atol)


def test_a_model_of_one_modality_always_reads_it(graphs: Path) -> None:
    counted = Counted(OnnxEngine(graphs / "model.onnx", threads=1).parts()._replace(cells=no_features))
    features: list[Any] = []
    parts = counted.parts._replace(classify=lambda *given: features.append(given) or (given[1], given[1]))
    Towers(parts)(mixed(4, pictures=[0, 1, 2, 3], titles=[0]))
    assert counted.read["tokens"] == [4] and not features[0][0].size


def test_rows_of_a_batch_keep_what_their_titles_hold() -> None:
    products = batch(4, 9)
    chosen = products.rows([0])
    assert chosen.input_ids.shape == chosen.attention_mask.shape == (1, 5)
    assert (chosen.ngrams == products.ngrams[:1, : chosen.ngrams.shape[1]]).all()
    assert not products.ngrams[0, chosen.ngrams.shape[1] :].any()
