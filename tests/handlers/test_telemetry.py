"""No library of a worker reports on its use: a shop's server must not call strangers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

GRAPH = helper.make_model(
    helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    ),
    ir_version=10,
    opset_imports=[helper.make_opsetid("", 18)],
).SerializeToString()
SESSION = f"from handlers.product_serving.engines.onnx import session; session({GRAPH!r}, 1)"
IMPORTS = {
    "a worker": SESSION,
    "an export": f"import export.graphs.int8; {SESSION}",
    "OpenVINO": "import openvino; openvino.Core()",
}


@pytest.mark.parametrize("imports", IMPORTS.values(), ids=IMPORTS.keys())
def test_nothing_is_written_into_the_home_folder(tmp_path: Path, imports: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", imports], check=True, env={**environment, "HOME": str(tmp_path)})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_users_own_choice_stays() -> None:
    code = "import export, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "0\n"
