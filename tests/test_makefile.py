"""Values of the Makefile's variables reach the programs as they are, with blanks, quotes and dollar signs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ODD = ["my run's", 'a "b" c', "a$b $(c) `d`", "back\\slash", "Größe *", "; true #"]


def passed(folder: Path, target: str, **values: str) -> list[str]:
    """The arguments that a target gives to its program, which only writes them down."""
    program = folder / "python"
    program.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    program.chmod(0o755)
    installed = folder / "installed"
    installed.touch()
    variables = [f"{name}={value}" for name, value in values.items()]
    made = subprocess.run(
        [
            "make",
            "--silent",
            target,
            f"BIN={folder}",
            f"INSTALLED={installed}",
            f"BROWSER={installed}",
            f"PAGE={installed}",
            *variables,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    arguments: list[str] = json.loads(made.stdout)
    return arguments


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    ("target", "variable", "option"),
    [
        ("archive", "RUN", "--run"),
        ("archive", "VERSION", "--version"),
        ("predict", "IMAGE", "--image"),
        ("predict", "TEXT", "--text"),
        ("switch", "SAMPLE", "--sample"),
        ("docs-images", "TABLE", "--table"),
        ("docs-images", "SHEET", "--sheet"),
        ("docs-images", "REPORT", "--report"),
    ],
)
def test_a_value_is_one_argument(tmp_path: Path, target: str, variable: str, option: str, value: str) -> None:
    # A # begins a comment in a makefile, but not on make's command line.
    arguments = passed(tmp_path, target, **{variable: value})
    assert arguments[arguments.index(option) + 1] == value


def test_what_is_not_given_is_no_argument(tmp_path: Path) -> None:
    assert passed(tmp_path, "predict") == ["-m", "client", "predict"]
    assert passed(tmp_path, "archive", MODEL="text late", WORKERS="2") == (
        [
            "-m",
            "export",
            "--run",
            "runs/demo",
            "--version",
            "1.0",
            "--model",
            "text",
            "--model",
            "late",
            "--workers",
            "2",
        ]
    )
