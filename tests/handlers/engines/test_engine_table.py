"""The table of engines matches the engines."""

from pathlib import Path

import pytest
from test_cpu_engines import batch

from handlers.product_serving.engines.engine import FP32_TOLERANCE, EngineError
from handlers.product_serving.engines.table import ENGINE_NAMES, ENGINES, EngineRow, LoadOptions, engine_row
from handlers.product_serving.settings import Attribute, ProductSettings

EXACT_ON_A_CPU = [row for row in ENGINES if row.device == "cpu" and row.gate is None]


def test_names_are_distinct_and_found() -> None:
    assert ENGINE_NAMES == ("onnx", "torchscript", "int8", "openvino", "cuda-bf16", "cuda-fp16", "cuda")
    assert [engine_row(name).name for name in ENGINE_NAMES] == list(ENGINE_NAMES)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(EngineError, match=r"engine must be one of \('onnx', .*, got 'tensorrt'"):
        engine_row("tensorrt")


def test_a_gate_is_the_name_of_an_engine_that_the_export_measures() -> None:
    gates = {row.gate for row in ENGINES if row.gate}
    assert gates == {row.name for row in ENGINES if row.gate == row.name}


@pytest.mark.parametrize("row", EXACT_ON_A_CPU, ids=lambda row: row.name)
def test_an_engine_without_a_gate_is_exact(graphs: Path, settings: ProductSettings, row: EngineRow) -> None:
    engine = row.build(LoadOptions(graphs, settings, threads=1))
    assert engine.tolerance == FP32_TOLERANCE and engine(batch(2, 3)).shape == (2, 4)


@pytest.mark.parametrize("row", [row for row in ENGINES if row.device == "gpu"], ids=lambda row: row.name)
def test_a_gpu_engine_needs_a_gpu(graphs: Path, settings: ProductSettings, row: EngineRow) -> None:
    with pytest.raises(EngineError, match=r"^no GPU$"):
        row.build(LoadOptions(graphs, settings, threads=1))


def test_the_settings_accept_only_these_names() -> None:
    for name in ("auto", *ENGINE_NAMES):
        assert (
            ProductSettings(model="late", attributes=(Attribute(name="label", labels=("a",)),), engine=name).engine
            == name
        )
    with pytest.raises(ValueError, match=r"engine must be one of \('auto', 'onnx', .*, got 'fp32'"):
        ProductSettings(model="late", attributes=(Attribute(name="label", labels=("a",)),), engine="fp32")
