"""Triton's Python backend around ``product_serving``; copied as ``model.py`` beside the content of an archive.

Inputs, each with one element a product: ``image`` (encoded bytes), ``text`` (UTF-8) and ``options``, a JSON object with
further fields of the HTTP API. A field may stand in ``options`` instead of its own tensor: ``{"image": null}`` marks a
product without a picture in a request whose other products have one. Outputs: ``answer`` (JSON: the answer or the
error), ``status`` (200 or the error's code), ``label`` and ``score`` (empty and 0 for an error).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

# Triton imports this file as a part of no package of ours.
sys.path.insert(0, str(Path(__file__).parent))

from product_serving.answer import serialise
from product_serving.errors import ProductError, run_step
from product_serving.request import ProductRequest, limit_pixels, parse_json, read_instance
from product_serving.standalone.predictor import Predictor

TENSORS = ("image", "text")
ACCEPT = "accept_numpy_2"


class TritonPythonModel:
    """What Triton calls: ``initialize`` once, ``execute`` with the requests of a batch."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model. Other files or other answers to golden products make this fail, and Triton serves it not.

        Raises:
            RuntimeError: the Python backend cannot read texts with this NumPy.
        """
        config = json.loads(args["model_config"])
        require_numpy(config.get("parameters", {}))
        groups = config["instance_group"]
        on_gpu = args["model_instance_kind"] == "GPU"
        self.predictor = Predictor(
            Path(__file__).parent,
            workers=max(1, sum(int(group["count"]) for group in groups)),
            gpu=int(args["model_instance_device_id"]) if on_gpu else None,
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the products of all requests together; an error is the answer of its product alone."""
        read = [self._read(request) for request in requests]
        answers = iter(self.predictor.answer([item for request in read for item in request.items]))
        return [response([next(answers) for _ in request.items]) for request in read]

    def _read(self, request: Any) -> ProductRequest:
        settings = self.predictor.settings
        items = [
            fields if isinstance(fields, ProductError) else read_instance(fields, settings)
            for fields in products(request)
        ]
        read = ProductRequest(items, many=len(items) > 1)
        if read.many and "image" in settings.modalities:
            limit_pixels(read, settings)
        return read


def products(request: Any) -> list[dict[str, Any] | ProductError]:
    """The fields of each product of a request, or its error.

    Args:
        request: its tensors have the shape (B, 1); a tensor that was not sent is no field.
    """
    sent = {name: pb_utils.get_input_tensor_by_name(request, name) for name in (*TENSORS, "options")}
    columns = {name: tensor.as_numpy().reshape(-1) for name, tensor in sent.items() if tensor is not None}
    size = max((len(column) for column in columns.values()), default=0)
    return [run_step(fields_of, {name: bytes(column[row]) for name, column in columns.items()}) for row in range(size)]


def fields_of(tensors: Mapping[str, bytes]) -> dict[str, Any]:
    """Join the tensors of a product with the fields of its ``options``.

    Raises:
        ProductError: ``options`` is no JSON object, or repeats a field that was sent.
    """
    options = parse_json(tensors["options"], field="options") if tensors.get("options", b"").strip() else {}
    if not isinstance(options, dict):
        raise ProductError("invalid_json", 'options: expected a JSON object such as {"top_k": 3}')
    fields = dict(options)
    for name in TENSORS:
        value = tensors.get(name)
        if value is None or (not value and name in options):
            continue
        if name in options:
            raise ProductError("invalid_json", f"options: {name} is also sent as a tensor; send it once")
        fields[name] = value
    return fields


def response(answers: Sequence[dict[str, Any] | ProductError]) -> Any:
    """The tensors of one request's answers, each of the shape (B, 1)."""
    good = [{} if isinstance(answer, ProductError) else answer for answer in answers]
    replies = [serialise([answer], many=False) for answer in answers]
    columns = {
        "answer": np.array([body.encode("ascii") for _, body in replies], object),
        "status": np.array([status for status, _ in replies], np.int32),
        "label": np.array([answer.get("label", "").encode() for answer in good], object),
        "score": np.array([answer.get("score", 0) for answer in good], np.float64),
    }
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, column[:, None]) for name, column in columns.items()])


def require_numpy(parameters: Mapping[str, Any], version: str = np.__version__) -> None:
    """Refuse NumPy 2 at load: a Python backend compiled against NumPy 1 ends with the first request, and says not why.

    Args:
        parameters: of ``config.pbtxt``; ``accept_numpy_2`` is for a backend that was compiled against NumPy 2.
        version: of NumPy.

    Raises:
        RuntimeError: it is not accepted.
    """
    accepted = parameters.get(ACCEPT, {}).get("string_value") == "true"
    if int(version.split(".", maxsplit=1)[0]) >= 2 and not accepted:
        raise RuntimeError(
            f"NumPy {version}: Triton's Python backend reads texts wrongly unless it was compiled against NumPy 2; "
            f"install numpy<2 into the Python that Triton runs, or set the parameter {ACCEPT} of config.pbtxt to true"
        )
