"""``model.onnx`` on ONNX Runtime's CPU provider, in fp32: the reference engine on a CPU.

Legend: B batch, C classes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import FP32_TOLERANCE, Batch, KeptFiles, Parts, no_features


class OnnxEngine:
    """``model.onnx`` on ONNX Runtime's CPU provider.

    Args:
        path: the exported graph.
        threads: intra-op threads.
    """

    tolerance = FP32_TOLERANCE

    def __init__(self, path: Path, *, threads: int) -> None:
        self._files, self._name, self._threads = KeptFiles(path.parent), path.name, threads
        self._session = _session(str(path), threads)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return _run(self._session, batch._asdict())

    def parts(self) -> Parts:
        """Cut the graph at the towers' outputs; the parts hold a second copy of the weights in memory."""
        return load_parts(self._files, self._name, threads=self._threads)


def load_parts(files: KeptFiles, name: str, *, threads: int) -> Parts:
    """Load the subgraphs of ``model.onnx`` before and after the towers' outputs, one session each.

    ONNX Runtime always computes the whole graph. An explanation runs the title's tower some ten times, and must not run
    the picture's tower each time.
    """
    import onnx  # noqa: PLC0415 - only explanations need it
    from onnx.utils import Extractor  # noqa: PLC0415

    model = onnx.load_model_from_string(files.read(name))
    for tensor in model.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if place:  # weights that model.pt holds
            tensor.raw_data = files.read(place["location"], int(place["offset"]), int(place["length"]))
            tensor.ClearField("external_data")
            tensor.data_location = onnx.TensorProto.DEFAULT
    extractor = Extractor(model)
    features = [name for node in model.graph.node for name in node.output if name in ("cells", "tokens", "lexical")]
    inputs = [value.name for value in model.graph.input]

    def cut(sources: list[str], target: str) -> Callable[..., NDArray[np.float32]]:
        names = [name for name in sources if name in (*features, *inputs)]
        part = extractor.extract_model(names, [target])
        for node in part.graph.node:
            # The graph takes the batch size from one input. A part without it takes an input of its own.
            if node.op_type == "Shape" and node.input[0] in set(inputs) - set(names):
                node.input[0] = names[0]
        session = _session(part.SerializeToString(), threads)
        return lambda *arrays: _run(session, dict(zip(sources, arrays, strict=True)))

    return Parts(
        cut(["image"], "cells") if "cells" in features else no_features,
        cut(["input_ids", "attention_mask"], "tokens") if "tokens" in features else no_features,
        cut(["ngrams"], "lexical") if "lexical" in features else no_features,
        cut(["cells", "tokens", "attention_mask", "present", "lexical"], "logits"),
    )


def _session(source: str | bytes, threads: int) -> Any:
    """Create a session from a graph's path or bytes."""
    import onnxruntime  # noqa: PLC0415 - the TorchScript path does not need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take cores from other workers and the front end.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _run(session: Any, arrays: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Run a session on those of the arrays that it reads; return its only output."""
    answer: NDArray[np.float32] = session.run(None, {each.name: arrays[each.name] for each in session.get_inputs()})[0]
    return answer
