"""Cut an ONNX graph at its inner values, so that the server computes only the towers that a product needs.

``model.onnx`` gives ``model.cells.onnx``, ``model.tokens.onnx``, ``model.lexical.onnx``, ``model.letters.onnx`` and
``model.classify.onnx``; a part whose tower is missing is left out. ONNX Runtime and OpenVINO always compute a whole
graph, whatever its inputs say.
"""

from pathlib import Path

import onnx
from onnx.utils import Extractor

# Part -> its inputs and outputs in the whole graph.
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cells": (("image",), ("cells",)),
    "tokens": (("input_ids", "attention_mask"), ("tokens",)),
    "lexical": (("ngrams",), ("lexical",)),
    "letters": (("ngrams",), ("letters",)),
    "classify": (("cells", "tokens", "attention_mask", "present", "lexical"), ("logits", "agreement")),
}


def write_parts(path: Path, names: tuple[str, ...] = tuple(PARTS)) -> list[Path]:
    """Write parts of a graph beside it; weights that stand in another file stay there.

    Args:
        path: ``model.onnx``, or another graph with its inner values.
        names: keys of ``PARTS``; those that the graph lacks are left out.

    Returns:
        The files written.
    """
    model = onnx.load(str(path), load_external_data=False)
    values = {name for node in model.graph.node for name in node.output}
    values |= {value.name for value in model.graph.input}
    extractor = Extractor(model)
    written = []
    for name in names:
        sources, targets = PARTS[name]
        if not set(targets) <= values:
            continue
        part = _cut(extractor, [source for source in sources if source in values], list(targets))
        written.append(path.with_suffix(f".{name}.onnx"))
        onnx.save(part, str(written[-1]))
    return written


def _cut(extractor: Extractor, sources: list[str], targets: list[str]) -> onnx.ModelProto:
    part = extractor.extract_model(sources, targets)
    for node in part.graph.node:
        # The graph takes the batch size from one input. A part without it takes an input of its own.
        if node.op_type == "Shape" and node.input[0] in {"image", "input_ids", "ngrams", "present"} - set(sources):
            node.input[0] = sources[0]
    return part
