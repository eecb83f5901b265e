"""Load a target's folder without this repository and answer its golden products: ``python -I load_check.py FOLDER``.

The script imports only what the folder and the environment hold, so it must not import this package.
"""

import base64
import importlib
import json
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Load the model; it refuses other files and other answers itself. Then compare the labels that it answers."""
    sys.path.insert(0, str(folder))
    predictor = importlib.import_module("product_serving.standalone.predictor").Predictor(folder)
    golden = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["golden"]
    products = [
        {
            "image": None if entry["image"] is None else base64.b64decode(entry["image"]),
            "text": entry["text"],
            "effort": "full",
        }
        for entry in golden
    ]
    for answer, entry in zip(predictor.predict(products), golden, strict=True):
        expected = next(iter(entry["labels"].values()))
        if not isinstance(answer, dict) or answer["label"] != expected:
            raise SystemExit(f"a golden product is answered {answer!r}, expected {expected!r}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
