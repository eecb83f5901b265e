"""A skip fails where it is not for want of hardware."""

import subprocess
import sys
from pathlib import Path

HOOKS = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from strict_skips import *"
TESTS = """
import pytest

@pytest.fixture
def graph():
    pytest.skip("this CPU has no VNNI")

def test_a_processor(graph): ...

@pytest.mark.skipif(True, reason="no GPU")
def test_a_gpu(): ...

@pytest.mark.skipif(True, reason="needs nginx")
def test_a_program(): ...

def test_a_file():
    pytest.skip("needs a file")

@pytest.mark.xfail
def test_a_known_fault():
    assert not "skipped"
"""


def outcomes(folder: Path, *options: str) -> str:
    """Pytest's closing line."""
    (folder / "conftest.py").write_text(HOOKS)
    (folder / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", *options, str(folder)]
    result = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)
    return result.stdout.splitlines()[-1]


def test_only_hardware_excuses_a_skip(tmp_path: Path) -> None:
    assert outcomes(tmp_path).startswith("4 skipped, 1 xfailed in")
    assert outcomes(tmp_path, "--strict-skips").startswith("1 failed, 2 skipped, 1 xfailed, 1 error in")
