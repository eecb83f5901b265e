"""Quantise a model: write its towers in int8, which share the fp32 weights and round them while they load.

- Convolutions: uint8 activations with constant scales, calibrated on training products; int8 weights with one scale for
  each channel (QDQ format, by onnxruntime.quantization).
- Matrices of the title's tower: int8 weights with one scale for each column; uint8 activations with one scale for each
  token, computed at run time. ONNX Runtime's own dynamic quantisation has one scale for the whole batch, so other
  products change an answer: logits moved by 0.2 on real products.

A QuantizeLinear node rounds the fp32 weights; ONNX Runtime folds it while it loads the graph. So the archive
gets more nodes and scales, but no second copy of the weights.

Legend: B batch, T title tokens, K inputs and N outputs of a matrix.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.helper import make_node
from onnx.numpy_helper import from_array, to_array
from onnx.utils import Extractor
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from export.graphs.parts import write_parts
from export.graphs.shared_weights import share_weights
from handlers.product_serving.engines.int8 import INT8_GRAPH
from handlers.product_serving.preprocessing import Product, collate
from training.system.progress import progress

CALIBRATION_BATCH = 8
QUANTISED_OPERATORS = ("Conv", "Clip", "Add")  # enough to keep activations in int8 between convolutions
# The first convolutions stay in fp32, because their rounding errors pass through the whole tower. With all of
# EfficientNet-Lite0 in int8, 98.5 % of 400 products (142 classes) kept their label; with the first three in fp32,
# 99.5 % did, at the same speed. The relative error of the cells was 0.38 and 0.09 (November 2026).
ROUNDED_PARTS = ("cells", "tokens")  # the towers with matrices and convolutions
EXACT_CONVOLUTIONS = 3
INT8_MAX = 127.0
MIN_RANGE = 1e-12  # a token of zeros must have a scale too


def export_int8(folder: Path, products: Sequence[Product]) -> None:
    """Write ``model.int8.cells.onnx`` and ``model.int8.tokens.onnx``, for the towers that the model has.

    Args:
        folder: holds ``model.onnx`` and ``model.pt``.
        products: a few hundred of the training part, to calibrate the scales of activations.
    """
    model = onnx.load(str(folder / "model.onnx"))
    values = {name for node in model.graph.node for name in node.output}
    if "cells" in values:
        _quantise_picture(model, products)
    if "tokens" in values:
        _quantise_title(model)
    _drop_unread(model)
    onnx.save(model, str(folder / INT8_GRAPH))
    for part in write_parts(folder / INT8_GRAPH, ROUNDED_PARTS):
        share_weights(part, folder / "model.pt")
        onnx.checker.check_model(str(part))
    (folder / INT8_GRAPH).unlink()


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Batches of pictures for the calibration."""

    def __init__(self, products: Sequence[Product]) -> None:
        batches = [products[start : start + CALIBRATION_BATCH] for start in range(0, len(products), CALIBRATION_BATCH)]
        self._batches = iter(progress(batches, description="calibrate int8", unit="batch"))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": collate(batch).image}


def _quantise_picture(model: onnx.ModelProto, products: Sequence[Product]) -> None:
    """Replace the picture's tower in the graph by its int8 form."""
    tower = Extractor(model).extract_model(["image"], ["cells"])
    # Skip the library's pre-processing: shapes are inferred and batch norms folded already.
    tower.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    convolutions = [node.name for node in tower.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = (Path(folder) / name for name in ("tower.onnx", "int8.onnx"))
        onnx.save(tower, str(source))
        quantize_static(
            source,
            target,
            _Pictures(products),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED_OPERATORS),
            nodes_to_exclude=convolutions[:EXACT_CONVOLUTIONS],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"AddQDQPairToWeight": True},
        )
        quantised = onnx.load(str(target))
    replaced = {node.name for node in tower.graph.node}
    nodes = [*quantised.graph.node, *(node for node in model.graph.node if node.name not in replaced)]
    known = {tensor.name for tensor in model.graph.initializer}
    model.graph.initializer.extend(tensor for tensor in quantised.graph.initializer if tensor.name not in known)
    _set_nodes(model, nodes)


def _quantise_title(model: onnx.ModelProto) -> None:
    """Compute products with the constant matrices of the title's tower in int8."""
    matrices = {tensor.name: tensor for tensor in model.graph.initializer}
    tower = {
        node.name for node in Extractor(model).extract_model(["input_ids", "attention_mask"], ["tokens"]).graph.node
    }
    nodes: list[onnx.NodeProto] = []
    rounded: set[str] = set()
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.name not in tower or node.input[1] not in matrices:
            nodes.append(node)
            continue
        activations, matrix = node.input
        if activations not in rounded:
            nodes += _quantise_rows(model, activations)
            rounded.add(activations)
        nodes += _multiply(model, node, to_array(matrices[matrix]))
    _set_nodes(model, nodes)


def _quantise_rows(model: onnx.ModelProto, name: str) -> Iterator[onnx.NodeProto]:
    """Nodes that quantise (B, T, K) float32 to ``<name>_u8`` (zero point 128) and ``<name>_scale`` (B, T, 1)."""
    largest, one, zero, axes, floor = (
        _constant(model, f"int8_{key}", value)
        for key, value in (
            ("largest", np.float32(INT8_MAX)),
            ("one", np.float32(1)),
            ("zero", np.uint8(128)),
            ("last_axis", np.array([-1])),
            ("smallest", np.float32(MIN_RANGE)),
        )
    )
    yield make_node("Abs", [name], [f"{name}_abs"])
    yield make_node("ReduceMax", [f"{name}_abs", axes], [f"{name}_max"])
    yield make_node("Max", [f"{name}_max", floor], [f"{name}_range"])
    yield make_node("Div", [largest, f"{name}_range"], [f"{name}_steps"])
    yield make_node("Div", [f"{name}_range", largest], [f"{name}_scale"])
    yield make_node("Mul", [name, f"{name}_steps"], [f"{name}_scaled"])
    yield make_node("QuantizeLinear", [f"{name}_scaled", one, zero], [f"{name}_u8"])


def _multiply(model: onnx.ModelProto, node: onnx.NodeProto, matrix: NDArray[np.float32]) -> Iterator[onnx.NodeProto]:
    """Nodes that quantise a (K, N) matrix, multiply quantised rows by it, and rescale the result."""
    (rows, weights), [output] = node.input, node.output
    scales = np.maximum(np.abs(matrix).max(axis=0), MIN_RANGE).astype(np.float32) / np.float32(INT8_MAX)
    scale = _constant(model, f"{output}_weight_scale", scales)
    zero = _constant(model, f"{output}_weight_zero", np.zeros(matrix.shape[1], dtype=np.int8))
    yield make_node("QuantizeLinear", [weights, scale, zero], [f"{output}_weight_s8"], axis=1)
    yield make_node("MatMulInteger", [f"{rows}_u8", f"{output}_weight_s8", "int8_zero"], [f"{output}_s32"])
    yield make_node("Cast", [f"{output}_s32"], [f"{output}_float"], to=onnx.TensorProto.FLOAT)
    yield make_node("Mul", [f"{output}_float", f"{rows}_scale"], [f"{output}_rows"])
    yield make_node("Mul", [f"{output}_rows", scale], [output])


def _constant(model: onnx.ModelProto, name: str, value: Any) -> str:
    """Add a constant to the graph unless it is there; return its name."""
    if name not in {tensor.name for tensor in model.graph.initializer}:
        model.graph.initializer.append(from_array(np.asarray(value), name))
    return name


def _drop_unread(model: onnx.ModelProto) -> None:
    """Delete constants that no node reads or that nodes now compute (biases), and the inferred shapes."""
    read = {name for node in model.graph.node for name in node.input}
    computed = {name for node in model.graph.node for name in node.output}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read - computed]
    between = [value for value in model.graph.value_info if value.name in ROUNDED_PARTS]  # the graph is cut there
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.extend(constants)
    model.graph.value_info.extend(between)


def _set_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)
