"""Load an unpacked archive as a worker does, without this repository: ``python -I load_check.py FOLDER``.

The script imports only what the archive and the environment hold, so it must not import this package.
"""

import importlib
import json
import sys
from pathlib import Path

from ts.context import Context, RequestProcessor


def main(folder: Path) -> None:
    """Initialise the archive's handler and let it answer and explain its first golden product."""
    sys.path.insert(0, str(folder))
    server_manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text(encoding="utf-8"))
    module = importlib.import_module(Path(server_manifest["model"]["handler"]).stem)
    context = Context(server_manifest["model"]["modelName"], str(folder), server_manifest, 1, None, None, None)
    handler = module.ProductHandler()
    handler.initialize(context)
    golden = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["golden"][0]
    body = {name: golden[name] for name in ("image", "text") if golden[name] is not None}
    context.request_ids = {0: "load-check", 1: "load-check"}
    context.request_processor = [
        RequestProcessor({"Content-Type": "application/json", "explain": explain}) for explain in ("False", "True")
    ]
    answers = map(json.loads, handler.handle([{"body": json.dumps(body).encode()}] * 2, context))
    for answer in answers:
        if answer.get("label") != next(iter(golden["labels"].values())):
            raise SystemExit(f"the archive answers {answer} to a golden product, expected {golden['labels']}")
    _refuse_repository(folder)


def _refuse_repository(folder: Path) -> None:
    """Exit with an error if a module of this project was imported from outside the archive."""
    ours = [name for name in sys.modules if name.split(".")[0] in ("handlers", "training", "export", "client")]
    own_names = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    own_names.discard("sitecustomize")  # an isolated Python starts with the system's, if there is one
    strangers = [
        name
        for name, module in sys.modules.items()
        if name.split(".")[0] in own_names and not Path(module.__file__ or "").is_relative_to(folder)
    ]
    if ours or strangers:
        raise SystemExit(f"the archive imported {ours + strangers} from outside itself")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
