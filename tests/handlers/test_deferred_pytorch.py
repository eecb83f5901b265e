"""A worker imports PyTorch only when something uses it, as Python starts with the archive's folder on its path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HANDLERS = Path(__file__).parents[2] / "handlers"
WORKER = "import sys, ts.model_service_worker, ts.service, ts.protocol.otf_message_handler as messages"


def worker(tmp_path: Path, program: str, *, shadow: str = "") -> str:
    """What a Python prints that starts like a worker with this program."""
    (tmp_path / "sitecustomize.py").write_bytes((HANDLERS / "sitecustomize.py").read_bytes())
    first = tmp_path / "first"
    first.mkdir()
    if shadow:
        (first / "sitecustomize.py").write_text(shadow)
    environment = {**os.environ, "PYTHONPATH": f"{first}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-W", "ignore", "-c", f"{WORKER}\n{program}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    return done.stdout.strip()


def test_text_answers_need_no_pytorch(tmp_path: Path) -> None:
    program = """
from types import SimpleNamespace
print(len(messages.create_predict_response(["{}"], {0: "a"}, "fine", 200)) > 0, "torch" in sys.modules)
"""
    assert worker(tmp_path, program) == "True False"


@pytest.mark.parametrize("shadow", ["", "import sys"], ids=["ours", "a caller's"])
def test_who_uses_pytorch_gets_the_whole_of_it_once(tmp_path: Path, shadow: str) -> None:
    program = """
import torch.nn.functional, torch
print(torch.nn is sys.modules["torch.nn"], messages.torch.Tensor is torch.Tensor, torch.ones(2).sum().item())
answer = messages.create_predict_response([torch.ones(2)], {0: "a"}, "fine", 200)
print(len(answer) > 0)
"""
    assert worker(tmp_path, program, shadow=shadow) == "True True 2.0\nTrue"


def test_another_torchserve_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ts").mkdir()
    (tmp_path / "ts" / "__init__.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    (tmp_path / "sitecustomize.py").write_bytes((HANDLERS / "sitecustomize.py").read_bytes())
    command = [sys.executable, "-c", "import sys; print('torch' in sys.modules)"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
