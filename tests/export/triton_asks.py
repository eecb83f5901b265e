"""Ask a Triton server with its own client: requests as JSON lines on standard input, answers on standard output.

It runs in Triton's environment, as ``python triton_asks.py ADDRESS``. A request is ``{"model", "version", "tensors"}``,
its tensors are lists of texts in base64; those of one line are sent at the same time.
"""

import base64
import json
import sys
from typing import Any

import numpy as np
from tritonclient import http
from tritonclient.utils import InferenceServerException


def sent(client: Any, request: dict[str, Any]) -> Any:
    """Send one request without waiting for its answer."""
    inputs = []
    for name, column in request["tensors"].items():
        values = np.array([base64.b64decode(value) for value in column], object)[:, None]
        tensor = http.InferInput(name, list(values.shape), "BYTES")
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    return client.async_infer(request["model"], inputs, model_version=request["version"])


def answer(waiting: Any) -> Any:
    """The columns of an answer, or the server's error."""
    try:
        result = waiting.get_result()
    except InferenceServerException as error:
        return {"error": str(error)}
    columns = {name: result.as_numpy(name)[:, 0].tolist() for name in ("answer", "status", "label", "score")}
    texts = {name: [value.decode() for value in columns[name]] for name in ("answer", "label")}
    return {**columns, **texts, "version": result.get_response()["model_version"]}


def main() -> None:
    """Answer each line of standard input with a line."""
    client = http.InferenceServerClient(sys.argv[1], concurrency=16)
    for line in sys.stdin:
        waiting = [sent(client, request) for request in json.loads(line)]
        print(json.dumps([answer(each) for each in waiting]), flush=True)
    client.close()


if __name__ == "__main__":
    main()
