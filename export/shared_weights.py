"""The weights of an archive, once: ``model.onnx`` reads its large tensors out of ``model.pt``.

A TorchScript file is a zip that stores each tensor as its plain bytes; an ONNX tensor may lie in any file, at an offset
(onnx.proto, ``external_data``). Where both hold the same bytes (:mod:`export.inference_form` sees to that), the ONNX
file names the place in the other one.
"""

import hashlib
import mmap
import zipfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data
from onnx.numpy_helper import to_array

SMALLEST = 1024  # bytes; smaller tensors stay, onnx's shape inference reads some of them


def share_weights(onnx_path: Path, torchscript_path: Path) -> float:
    """Let the ONNX file read from the TorchScript file, in the same folder, what that holds too.

    Args:
        onnx_path: rewritten.
        torchscript_path: read.

    Returns:
        Share of the ONNX file's weights, in bytes, that lie in the other file now.
    """
    model = onnx.load(str(onnx_path))
    places = {_digest(content): (offset, len(content)) for offset, content in _tensors(torchscript_path)}
    total = shared = 0
    for tensor in model.graph.initializer:
        content = to_array(tensor).tobytes()
        total += len(content)
        if len(content) >= SMALLEST and (place := places.get(_digest(content))):
            offset, length = place
            set_external_data(tensor, location=torchscript_path.name, offset=offset, length=length)
            tensor.ClearField("raw_data")
            shared += length
    onnx.save(model, str(onnx_path))
    return shared / max(1, total)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _tensors(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where each stored tensor begins in a TorchScript file, and its bytes."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        with zipfile.ZipFile(path) as archive:
            entries = [
                entry for entry in archive.infolist() if "/data/" in entry.filename or "/constants/" in entry.filename
            ]
        for entry in entries:
            # The name and the padding in front of the bytes are as long as the local header says, not the directory.
            header = content[entry.header_offset : entry.header_offset + 30]
            start = (
                entry.header_offset
                + 30
                + int.from_bytes(header[26:28], "little")
                + int.from_bytes(header[28:30], "little")
            )
            if entry.compress_type == zipfile.ZIP_STORED:
                yield start, content[start : start + entry.file_size]
