"""Triton's model with a stand-in for Triton: how tensors become products, and answers tensors."""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from known_model import BLUE, RED, picture

ACCEPTED = {"accept_numpy_2": {"string_value": "true"}}


class Tensor:
    """Stands in for the tensor of Triton's Python backend."""

    def __init__(self, name: str, values: Any) -> None:
        self.name, self.values = name, values

    def as_numpy(self) -> Any:
        return self.values


def fake_backend() -> ModuleType:
    """Triton's module of the Python backend, as far as the model uses it."""
    module: Any = ModuleType("triton_python_backend_utils")
    module.Tensor = Tensor
    module.InferenceResponse = lambda tensors: {tensor.name: tensor.values for tensor in tensors}
    module.get_input_tensor_by_name = lambda request, name: request.get(name)
    return module  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def triton_model(triton_repository: Path) -> Iterator[Any]:
    """The module ``model.py`` of the repository, imported as Triton imports it; what it imports leaves with it."""
    before, path = set(sys.modules), list(sys.path)
    sys.modules["triton_python_backend_utils"] = fake_backend()
    sys.path.append(str(triton_repository / "known"))
    try:
        yield importlib.import_module("1.model")
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if name.split(".")[0] in ("1", "product_serving", "triton_python_backend_utils"):
                del sys.modules[name]


def arguments(**parameters: Any) -> dict[str, str]:
    """What Triton hands to ``initialize``."""
    config = {"instance_group": [{"count": 2}], "parameters": parameters}
    return {"model_config": json.dumps(config), "model_instance_kind": "CPU", "model_instance_device_id": "0"}


@pytest.fixture(scope="module")
def served(triton_model: Any) -> Any:
    model = triton_model.TritonPythonModel()
    model.initialize(arguments(**ACCEPTED))
    return model


def tensors(**columns: list[bytes]) -> dict[str, Tensor]:
    """A request of Triton: each column has a value for each product."""
    return {name: Tensor(name, np.array(values, object)[:, None]) for name, values in columns.items()}


def test_a_batch_of_requests_keeps_each_products_own_answer(served: Any) -> None:
    red, blue = picture(RED), picture(BLUE)
    one, many, wrong = served.execute(
        [
            tensors(text=[b"Red Shoe"]),
            tensors(
                image=[red, b"GIF89a", blue, b""], text=[b"", b"Bag", b"Bag", b"Shoe"], options=[b"", b"", b"", b""]
            ),
            tensors(options=[b'{"text": "Bag", "top_k": 1}']),
        ]
    )
    assert one["status"].tolist() == [[200]] and one["label"].tolist() == [[b"Shoes"]]
    assert many["status"].tolist() == [[200], [415], [200], [422]] and many["answer"].shape == (4, 1)
    errors = [json.loads(body).get("type") for body in many["answer"][:, 0]]
    assert errors == [None, "unsupported_image", None, "image_empty"]
    assert many["label"][1, 0] == b"" and many["score"][1, 0] == 0
    assert wrong["label"][0, 0].decode() == "Küche: bags, large|small"
    assert len(json.loads(wrong["answer"][0, 0])["top"]) == 1
    for row in (0, 2):
        answer = json.loads(many["answer"][row, 0])
        assert (answer["label"], answer["score"]) == (many["label"][row, 0].decode(), many["score"][row, 0])


@pytest.mark.parametrize(
    ("sent", "type"),
    [
        ({"image": b"", "text": b"Bag"}, "image_empty"),
        ({"image": b"", "text": b"Bag", "options": b'{"image": null}'}, None),
        ({"image": b"", "text": b"", "options": b'{"image": null}'}, "missing_field"),
        ({"text": b"Bag", "options": b'{"text": "Shoe"}'}, "invalid_json"),
        ({"text": b"\xff"}, "invalid_text"),
        ({"options": b'{"text": "Bag"}'}, None),
        ({"options": b"[]"}, "invalid_json"),
        ({"options": b'{"text": "a", "text": "b"}'}, "invalid_json"),
        ({"options": b'{"instances": []}'}, "unknown_field"),
        ({"text": b"Bag", "options": b'{"colour": "red"}'}, "unknown_field"),
        ({"text": b"Bag", "options": b'{"effort": "full"}'}, None),
        ({"options": b""}, "missing_field"),
    ],
)
def test_fields_and_tensors(served: Any, sent: dict[str, bytes], type: str | None) -> None:
    [reply] = served.execute([tensors(**{name: [value] for name, value in sent.items()})])
    assert json.loads(reply["answer"][0, 0]).get("type") == type
    assert (reply["status"][0, 0] == 200) == (type is None)


def test_pictures_of_one_request_have_a_limit_together(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = served.predictor.settings
    monkeypatch.setattr(
        served.predictor, "settings", SimpleNamespace(**{**vars_of(settings), "max_request_pixels": 56**2})
    )
    [reply] = served.execute([tensors(image=[picture(RED), picture(BLUE)])])
    assert reply["status"].tolist() == [[200], [413]]


def vars_of(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in dir(settings) if not name.startswith("_")}


def test_numpy_2_is_refused_where_the_backend_may_not_know_it(triton_model: Any) -> None:
    with pytest.raises(RuntimeError, match="numpy<2"):
        triton_model.require_numpy({}, "2.4.6")
    triton_model.require_numpy(ACCEPTED, "2.4.6")
    triton_model.require_numpy({}, "1.26.4")


def test_a_model_with_other_answers_does_not_load(triton_model: Any, triton_repository: Path, tmp_path: Path) -> None:
    shutil.copytree(triton_repository / "known" / "1", tmp_path / "1")
    settings = tmp_path / "1" / "settings.json"
    settings.write_text(settings.read_text().replace("1.6", "1.7"))
    program = (
        "import sys, types; sys.path.insert(0, sys.argv[1]); sys.modules['triton_python_backend_utils'] = "
        "types.ModuleType('fake'); import importlib; model = importlib.import_module('1.model').TritonPythonModel();"
        f"model.initialize({arguments(**ACCEPTED)!r})"
    )
    command = [sys.executable, "-I", "-B", "-c", program, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode and "settings.json is not the file that was verified" in result.stderr
