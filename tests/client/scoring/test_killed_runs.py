"""Runs that are killed, at every write to the disk and at any other moment: the next one leaves what one run leaves."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def drive(catalogue: Path, out: Path, *options: str) -> str:
    """Run the driver; what it says."""
    out.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("stub_engine.py")), str(catalogue), str(out), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_run_may_be_killed_at_every_write(catalogue: Path, tmp_path: Path) -> None:
    said = drive(catalogue, tmp_path / "runs")
    assert int(said.split()[0]) > 30


@pytest.mark.parametrize("seed", range(2))
def test_a_run_may_be_killed_again_and_again(catalogue: Path, tmp_path: Path, seed: int) -> None:
    delays = [str(random.Random(seed + row).uniform(0.0, 0.3)) for row in range(6)]
    assert drive(catalogue, tmp_path / "runs", "--delays", *delays) == "1 runs were killed\n"
