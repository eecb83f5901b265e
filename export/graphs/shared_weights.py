"""Store an archive's weights once: ``model.onnx`` reads its large tensors from ``model.pt``.

A TorchScript file is a zip that stores each tensor as plain bytes. An ONNX tensor can refer to an offset in any file
(onnx.proto, ``external_data``). If both files hold the same bytes (:mod:`export.graphs.inference_form` ensures this),
the ONNX file refers to the TorchScript file.
"""

import hashlib
import mmap
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data
from onnx.numpy_helper import to_array

MIN_SHARED_BYTES = 1024  # smaller tensors stay in place: onnx's shape inference reads some of them


def share_weights(onnx_path: Path, torchscript_path: Path) -> float:
    """Replace tensors of the ONNX file by references to equal tensors of the TorchScript file.

    Args:
        onnx_path: rewritten; in the same folder.
        torchscript_path: only read.

    Returns:
        Share of the ONNX file's weights, in bytes, that are references now.
    """
    model = onnx.load(str(onnx_path))
    offsets = {hashlib.sha256(content).digest(): offset for offset, content in _tensors(torchscript_path)}
    total = shared = 0
    for tensor in model.graph.initializer:
        content = to_array(tensor).tobytes()
        total += len(content)
        offset = offsets.get(hashlib.sha256(content).digest())
        if len(content) >= MIN_SHARED_BYTES and offset is not None:
            set_external_data(tensor, location=torchscript_path.name, offset=offset, length=len(content))
            tensor.ClearField("raw_data")
            shared += len(content)
    onnx.save(model, str(onnx_path))
    return shared / max(1, total)


def _tensors(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each tensor stored in a TorchScript file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        with zipfile.ZipFile(path) as archive:
            entries = [
                entry for entry in archive.infolist() if "/data/" in entry.filename or "/constants/" in entry.filename
            ]
        for entry in entries:
            # The local header, not the directory, has the lengths of the name and padding before the bytes.
            start = entry.header_offset + 30 + sum(struct.unpack_from("<HH", content, entry.header_offset + 26))
            if entry.compress_type == zipfile.ZIP_STORED:
                yield start, content[start : start + entry.file_size]
