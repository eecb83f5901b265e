"""An unpacked archive on its own: TorchServe's loader, an isolated Python, no repository in reach."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAM = """
import json, sys
from types import SimpleNamespace
folder = sys.argv[1]
sys.path.insert(0, folder)
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


def test_it_serves_on_its_own(copy_archive: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy_archive()
    (folder / "MAR-INF").mkdir()
    (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps({"model": {"modelVersion": "2.0"}}))
    command = [sys.executable, "-I", "-c", PROGRAM, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    replies, own = map(json.loads, result.stdout.splitlines()[-2:])
    shirt, refused = replies["answers"]
    assert shirt["modalities"] == ["text"] and shirt["model"]["version"] == "2.0"
    assert refused["type"] == "invalid_text" and replies["statuses"] == [[200, "OK"], [400, "Bad Request"]]
    assert own == sorted(_module(path.relative_to(folder)) for path in folder.rglob("*.py"))


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
