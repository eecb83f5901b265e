"""No library of a worker reports on its use: a shop's server must not call strangers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

IMPORTS = {
    "a worker": "import handlers.product_serving.engines.table, onnxruntime, openvino",
    "an export": "import export.graphs.int8, openvino",
}


@pytest.mark.parametrize("imports", IMPORTS.values(), ids=IMPORTS.keys())
def test_nothing_is_written_into_the_home_folder(tmp_path: Path, imports: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    code = f"{imports}\nimport onnxruntime; onnxruntime.get_available_providers(); import openvino; openvino.Core()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**environment, "HOME": str(tmp_path)})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_users_own_choice_stays() -> None:
    code = "import handlers.product_serving, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "0\n"
