"""An unpacked archive without the repository: TorchServe's loader, the load check and a hostile PYTHONPATH."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from serving import seal

from export.archive import LOAD_CHECK

ROOT = Path(__file__).parents[2]
# TorchServe puts a caller's PYTHONPATH before the model's folder; these names are also names of our modules.
SHADOWS = ("settings.py", "errors.py", "preprocessing.py", "engines.py", "product_serving/__init__.py")
PROGRAM = """
import json, sys
from types import SimpleNamespace
folder = sys.argv[1]
sys.path[:0] = sys.argv[2:] + [folder]
from ts.context import RequestProcessor
from ts.model_loader import ModelLoaderFactory
metrics = SimpleNamespace(set_request_ids=lambda ids: None)
service = ModelLoaderFactory.get_model_loader().load(
    "tiny", folder, "product_handler.py", None, 4, None, True, metrics
)
context = service.context
rows = [{"text": bytearray(b"Red Cotton Shirt")}, {"body": bytearray(b'{"text": 5}')}]
context.request_ids = {0: "a", 1: "b"}
context.request_processor = [RequestProcessor({}), RequestProcessor({"Content-Type": "application/json"})]
answers = [json.loads(answer) for answer in service._entry_point(rows, context)]
print(json.dumps({"answers": answers, "statuses": [context.get_response_status(n) for n in (0, 1)]}))
own = {name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(folder)}
print(json.dumps(sorted(own)))
assert not {"handlers", "training", "export", "transformers", "pandas"} & set(sys.modules)
"""


@pytest.fixture
def folder(copy_archive: Callable[..., Path]) -> Path:
    """An unpacked archive with the manifest that the archiver writes."""
    folder = copy_archive()
    (folder / "MAR-INF").mkdir()
    model = {"modelName": "tiny", "modelVersion": "2.0", "handler": "product_handler.py"}
    (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps({"model": model}))
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose modules raise when they are imported."""
    folder = tmp_path / "hostile"
    for name in SHADOWS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise RuntimeError('a hostile module')")
    return folder


def run(*command: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", *map(str, command)], capture_output=True, text=True, check=False, cwd=folder
    )


@pytest.mark.parametrize("shadowed", [False, True])
def test_an_unpacked_archive_serves_without_the_repository(
    folder: Path, hostile: Path, tmp_path: Path, shadowed: bool
) -> None:
    result = run("-c", PROGRAM, folder, *([hostile] if shadowed else []), folder=tmp_path)
    assert result.returncode == 0, result.stderr
    replies, own = map(json.loads, result.stdout.splitlines()[-2:])
    shirt, refused = replies["answers"]
    assert shirt["modalities"] == ["text"] and shirt["model"]["version"] == "2.0"
    assert refused["type"] == "invalid_text" and replies["statuses"] == [[200, "OK"], [400, "Bad Request"]]
    modules = {_module(path.relative_to(folder)) for path in folder.rglob("*.py")}
    # Other servers use `standalone`, and an isolated Python takes the system's sitecustomize.
    unused = {"sitecustomize", *(name for name in modules if name.startswith("product_serving.standalone"))}
    assert own == sorted(modules - unused)


def test_hostile_modules_would_be_imported_without_the_handlers_path(
    folder: Path, hostile: Path, tmp_path: Path
) -> None:
    handler = folder / "product_handler.py"
    kept = [line for line in handler.read_text().splitlines() if "sys.path.insert" not in line]
    handler.write_text("\n".join(kept))
    result = run("-c", PROGRAM, folder, hostile, folder=tmp_path)
    assert result.returncode and "RuntimeError: a hostile module" in result.stderr


def test_the_load_check_lets_it_pass(folder: Path, tmp_path: Path) -> None:
    result = run(LOAD_CHECK, folder, folder=tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_load_check_refuses_an_archive_that_needs_the_repository(folder: Path, tmp_path: Path) -> None:
    handler = folder / "product_handler.py"
    handler.write_text(handler.read_text() + f"\nsys.path.append({str(ROOT)!r})\nimport handlers\n")
    seal(folder)
    result = run(LOAD_CHECK, folder, folder=tmp_path)
    assert result.returncode and "the archive imported ['handlers'] from outside itself" in result.stderr


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
