"""Versions that must never take over: each differs from a good archive in one way, its checksums mostly in order."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from live_server import repack
from onnx import numpy_helper

Content = dict[str, bytes]
_DIES = b"""

def _die(self, context):
    import os

    os._exit(1)


ProductHandler.initialize = _die
"""
_LIES = b"""

_honest = product_answer


def product_answer(scored, **options):
    return _honest(scored._replace(scores=scored.scores[::-1]), **options)
"""


def wrong_weights(content: Content) -> Content:
    """All graphs with other numbers in them: a model that nobody has verified."""
    graph = onnx.load_from_string(content["model.onnx"])
    if any(tensor.external_data for tensor in graph.graph.initializer):
        return {"model.pt": _negated_in_place(content["model.pt"], graph)}
    graphs = {name: _negated_graph(data) for name, data in content.items() if name.endswith(".onnx")}
    return {**graphs, "model.pt": _negated(content["model.pt"])}


def wrong_labels(content: Content) -> Content:
    """The classes in another order."""
    settings = json.loads(content["settings.json"])
    settings["attributes"][0]["labels"].reverse()
    return {"settings.json": json.dumps(settings).encode()}


def other_answers(content: Content) -> Content:
    """A model as it was verified, whose handler says something else over HTTP: only golden products tell."""
    return {"product_serving/answer.py": content["product_serving/answer.py"] + _LIES}


def dying_workers(content: Content) -> Content:
    """Workers that are gone without a word while they load."""
    return {"product_handler.py": content["product_handler.py"] + _DIES}


def tampered(content: Content) -> Content:
    """One bit of the weights, behind the checksums' back."""
    weights = bytearray(content["model.onnx"])
    weights[len(weights) // 2] ^= 1
    return {"model.onnx": bytes(weights)}


# How it is broken -> the change, and what the refusal has to say.
BROKEN: dict[str, tuple[Callable[[Content], Content], str]] = {
    "wrong weights": (wrong_weights, r"golden product \d+: "),
    "wrong labels": (wrong_labels, r"golden product \d+: |its labels are not those that were verified"),
    "tampered file": (tampered, r"model\.onnx is not the file that was verified"),
    "answers not golden": (other_answers, r"golden product \d+ of \S+\.mar: "),
    "workers that die at load": (dying_workers, r"worker"),
}


def build_broken(source: Path, kind: str, *, version: str) -> Path:
    """A broken archive beside a good one."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change, _ = BROKEN[kind]
    target = source.with_name(f"{source.stem.rsplit('-', 1)[0]}-{version}.mar")
    return repack(source, target, version=version, changes=change(content), sealed=change is not tampered)


def _negated_in_place(scripted: bytes, graph: onnx.ModelProto) -> bytes:
    """The weights that both graphs share, where they lie; TorchScript, which compares checksums, calls that damage."""
    changed = np.frombuffer(bytearray(scripted), dtype=np.uint8)
    for tensor in graph.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if place and tensor.data_type == onnx.TensorProto.FLOAT:
            start = int(place["offset"])
            changed[start + 3 : start + int(place["length"]) : 4] ^= 0x80  # the sign of each float, little-endian
    return changed.tobytes()


def _negated_graph(content: bytes) -> bytes:
    graph = onnx.load_from_string(content)
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims:
            turned = np.negative(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(turned, tensor.name))
    changed: bytes = graph.SerializeToString()
    return changed


def _negated(scripted: bytes) -> bytes:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is what an archive holds
        module = torch.jit.load(io.BytesIO(scripted), map_location="cpu")
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.neg_()
        buffer = io.BytesIO()
        torch.jit.save(module, buffer)
        return buffer.getvalue()
