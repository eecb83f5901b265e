"""``model.onnx`` on ONNX Runtime's CPU provider: the reference on a CPU, in fp32.

Legend: B batch, N picture cells, T title tokens, D width of an encoder, C classes.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import EXACT, NOTHING, Batch, Parts


class OnnxEngine:
    """``model.onnx`` on ONNX Runtime's CPU provider.

    Args:
        path: the exported graph.
        threads: intra-op threads.
    """

    tolerance = EXACT

    def __init__(self, path: Path, *, threads: int) -> None:
        self._path, self._threads = path, threads
        self._session = _session(str(path), threads)
        self._inputs = [value.name for value in self._session.get_inputs()]

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        arrays = batch._asdict()
        logits: NDArray[np.float32] = self._session.run(None, {name: arrays[name] for name in self._inputs})[0]
        return logits

    def parts(self) -> Parts:
        """The verified graph, cut at its towers' outputs; the parts hold the weights a second time in memory."""
        return OnnxParts(self._path, threads=self._threads)


class OnnxParts:
    """The subgraphs of ``model.onnx`` before and behind the values ``cells`` and ``tokens``, a session each.

    ONNX Runtime computes all of a graph whatever outputs are asked for, and a title's tower has to run without the
    picture's: a word is left out some ten times.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        import onnx  # noqa: PLC0415 - only explanations need it
        from onnx.utils import Extractor  # noqa: PLC0415

        model = onnx.load(str(path))
        extractor = Extractor(model)
        features = [name for node in model.graph.node for name in node.output if name in ("cells", "tokens")]
        inputs = [value.name for value in model.graph.input]

        def cut(sources: list[str], target: str) -> Any:
            names = [name for name in sources if name in (*features, *inputs)]
            part = extractor.extract_model(names, [target])
            for node in part.graph.node:
                # The exporter reads the batch's size off one input for the whole graph; every input of a part has it.
                if node.op_type == "Shape" and node.input[0] in set(inputs) - set(names):
                    node.input[0] = names[0]
            return _session(part.SerializeToString(), threads)

        self._image = cut(["image"], "cells") if "cells" in features else None
        self._text = cut(["input_ids", "attention_mask"], "tokens") if "tokens" in features else None
        self._head = cut([*features, "attention_mask", "present"], "logits")

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _run_session(self._image, image=image)

    def tokens(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return _run_session(self._text, input_ids=input_ids, attention_mask=attention_mask)

    def classify(
        self,
        cells: NDArray[np.float32],
        tokens: NDArray[np.float32],
        attention_mask: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        return _run_session(self._head, cells=cells, tokens=tokens, attention_mask=attention_mask, present=present)


def _session(source: str | bytes, threads: int) -> Any:
    """A session for a graph's path or its bytes."""
    import onnxruntime  # noqa: PLC0415 - the TorchScript path does not need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads take the cores from the other workers and from the front end while they wait.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _run_session(session: Any, **arrays: NDArray[Any]) -> NDArray[np.float32]:
    if session is None:
        return NOTHING
    answer: NDArray[np.float32] = session.run(None, {value.name: arrays[value.name] for value in session.get_inputs()})[
        0
    ]
    return answer
