"""Body formats: a server gets the body as it is or in the wrapping that its framework requires."""

import json
from collections.abc import Callable

TENSOR_HEADER = 256
"""Bytes of the JSON in front of a tensor. It is padded with spaces, so that all requests can share one HTTP header."""

TENSOR_HEADERS = {"Inference-Header-Content-Length": str(TENSOR_HEADER)}


def _tensor(content: bytes) -> bytes:
    """Make a KServe inference request that holds the body as binary data, after its length (4 bytes, little-endian).

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
