"""The format in which a server gets a request's body: as it is, or wrapped as its framework asks."""

import json
from collections.abc import Callable

TENSOR_HEADER = 256
"""Bytes of the JSON in front of a tensor; filled up with spaces, so that one HTTP header serves all requests."""

TENSOR_HEADERS = {"Inference-Header-Content-Length": str(TENSOR_HEADER)}


def _tensor(content: bytes) -> bytes:
    """A KServe inference request with one text of bytes as binary data (its length, 4 bytes little-endian, leads).

    Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
    """
    value = len(content).to_bytes(4, "little") + content
    tensor = {"name": "body", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(value)}}
    wanted = {"name": "answer", "parameters": {"binary_data": True}}
    return json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode().ljust(TENSOR_HEADER) + value


BODY_FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "list": lambda content: b'{"products":[' + content + b"]}",
    "tensor": _tensor,
}
