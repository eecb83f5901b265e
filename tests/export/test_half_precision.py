"""Exported graphs in half precision: close to the trained model on a CPU, and capturable on a fake GPU.

PyTorch's fake tensors have a device and a type but no values; they pass through the graph as a GPU's tensors would.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from export.accuracy_gate import fast_engines
from export.graphs.inference_form import inference_form
from export.graphs.torchscript import example_inputs, export_torchscript
from handlers.product_serving.engines.engine import Batch, EngineError
from handlers.product_serving.engines.half_precision import HEAD_PREFIX, HalfEngine, load_half_graph
from handlers.product_serving.engines.table import LoadOptions
from handlers.product_serving.engines.torchscript import TorchScriptEngine, load_graph
from handlers.product_serving.settings import Attribute, ProductSettings
from training.models import ProductClassifier, build_head
from training.models.encoders import build_image_encoder, build_text_encoder
from training.models.lexical_encoder import LexicalEncoder

SIZE = 64
MULTIPLIES = ("convolution", "addmm", "aten.mm", "linear")


@pytest.fixture(scope="module", params=["intermediate", "late", "image", "text", "three towers"])
def exported(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    image = None if request.param == "text" else build_image_encoder("resnet18", "none")
    text = None if request.param == "image" else build_text_encoder(str(tiny_bert))
    lexical = LexicalEncoder(8) if request.param == "three towers" else None
    name = "intermediate" if lexical else request.param
    head = build_head(name, image_width=512, text_width=32, lexical_width=lexical.width if lexical else 0, sizes=[4])
    model = ProductClassifier(image, text, head, lexical).eval()
    path = tmp_path_factory.mktemp(request.param) / "model.pt"
    export_torchscript(inference_form(model, example_inputs(SIZE)), path, image_size=SIZE)
    return path


def products(count: int, tokens: int) -> Batch:
    inputs = [torch.cat([tensor] * 4)[:count].clone() for tensor in example_inputs(SIZE, tokens)]
    inputs[2][0, tokens // 2 + 1 :] = 0
    inputs[3][0, 0] = False
    return Batch(*(tensor.numpy() for tensor in inputs))


def test_on_a_cpu_it_is_near_the_fp32_graph_but_not_equal(exported: Path) -> None:
    exact, half = TorchScriptEngine(exported, device="cpu", threads=1), HalfEngine(exported)
    for count, tokens in [(1, 2), (8, 20)]:
        asked = products(count, tokens)
        one, other = exact(asked), half(asked)
        assert other.dtype == np.float32 and one.shape == other.shape
        assert 0 < np.abs(one - other).max() < 0.05 * max(1.0, np.abs(one).max())


def test_the_head_keeps_its_weights_and_convolutions_are_channels_last(exported: Path) -> None:
    graph = load_half_graph(exported, device="cpu", precision="bf16")
    for name, weight in graph.named_parameters():
        assert weight.dtype == (torch.float32 if name.startswith(HEAD_PREFIX) else torch.bfloat16), name
        assert weight.dim() != 4 or weight.is_contiguous(memory_format=torch.channels_last), name
    assert {buffer.dtype for buffer in graph.buffers()} <= {torch.float32, torch.int64, torch.int8}


def test_convolutions_do_not_round_to_tf32(exported: Path) -> None:
    """The last input of ``aten::_convolution`` allows it, and a trace keeps it."""
    graph = load_graph(exported).inlined_graph  # its nodes live as long as it does
    convolutions = graph.findAllNodes("aten::_convolution")
    assert not any(list(node.inputs())[-1].toIValue() for node in convolutions)


class Told(TorchDispatchMode):
    """Records each operation with the devices and types of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[str, set[tuple[str, torch.dtype]]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, answer)) if isinstance(leaf, torch.Tensor)]
        self.operations.append((str(func), {(tensor.device.type, tensor.dtype) for tensor in tensors}))
        return answer


@pytest.fixture
def told(exported: Path) -> Iterator[list[tuple[str, set[tuple[str, torch.dtype]]]]]:
    """The operations of the graph on a fake GPU."""
    graph = load_half_graph(exported, device="cpu", precision="bf16")
    real = [torch.from_numpy(array) for array in products(5, 12)]
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        for module in graph.modules():
            own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            for name, tensor in own:
                fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
                module._c.setattr(name, fake)
        inputs = [torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda") for tensor in real]
        with torch.jit.optimized_execution(False), Told() as mode:
            logits = graph(*inputs)
    assert (logits.device.type, logits.dtype, logits.shape) == ("cuda", torch.float32, (5, 4))
    yield mode.operations


def test_no_value_is_fetched_from_the_gpu(told: list[tuple[str, set[tuple[str, torch.dtype]]]]) -> None:
    """Not allowed in a captured graph: sizes must be computed on the CPU."""
    assert told
    for name, tensors in told:
        if "_local_scalar_dense" in name or "nonzero" in name:
            assert {device for device, _ in tensors} == {"cpu"}, name
        if "_to_copy" in name:
            assert len({device for device, _ in tensors}) == 1, "from one device to another"


def test_towers_multiply_in_half_precision(
    told: list[tuple[str, set[tuple[str, torch.dtype]]]],
) -> None:
    kinds = [
        {dtype for device, dtype in tensors if device == "cuda"}
        for name, tensors in told
        if any(part in name for part in MULTIPLIES)
    ]
    assert all(len(dtypes) == 1 for dtypes in kinds), "no product of two types"
    assert kinds.count({torch.bfloat16}) >= 6 and kinds[-1] == {torch.float32}, "towers in half, the head in fp32"


def test_an_unknown_precision_lists_the_known_ones(exported: Path) -> None:
    with pytest.raises(EngineError, match=r"must be one of \['bf16', 'fp16'\], got 'fp8'"):
        load_half_graph(exported, device="cpu", precision="fp8")


def test_the_gate_measures_it_on_every_machine(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*arguments: Any, **keywords: Any) -> None:
        raise EngineError("this CPU has no bf16")

    monkeypatch.setattr("handlers.product_serving.engines.table.OpenVinoEngine", none_here)
    settings = ProductSettings(model="late", attributes=(Attribute(name="label", labels=("a",)),))
    assert list(fast_engines(LoadOptions(exported.parent, settings, threads=1))) == ["cuda-bf16"]
