"""An archive whose files are not the verified ones does not load, nor one whose answers are not the expected ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import flip_bit
from serving import LABELS, Worker, form

from handlers.product_archive import ArchiveError, GoldenProduct, check_golden, golden_products, read_archive

FILES = (
    "product_handler.py",
    "product_request.py",
    "preprocessing.py",
    "backends.py",
    "settings.json",
    "tokenizer.json",
    "model.pt",
    "model.onnx",
)
GOLDEN = [GoldenProduct(None, "a", "b", np.array([0.2, 0.7, 0.1]))]


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_whole_archive_is_read(archive: Path) -> None:
    manifest = read_archive(archive)
    assert set(FILES) <= set(manifest["files"])
    assert [product.label in LABELS for product in golden_products(manifest)] == [True] * 3


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_named(copy_archive: Callable[..., Path], name: str) -> None:
    folder = copy_archive()
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(flip_bit(data, len(data) // 2))
    with pytest.raises(ArchiveError, match=f"^{name} is not the file that was verified; .*make archive"):
        Worker(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy_archive: Callable[..., Path], name: str) -> None:
    folder = copy_archive()
    (folder / name).unlink()
    with pytest.raises(ArchiveError, match=name):
        Worker(folder)


def test_a_link_or_a_folder_in_place_of_a_file_is_no_file(copy_archive: Callable[..., Path]) -> None:
    folder = copy_archive()
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()
    with pytest.raises(ArchiveError, match=r"model\.onnx"):
        read_archive(folder)


@pytest.mark.parametrize("name", ["settings.json", "model.pt", "model.onnx", "tokenizer.json", "product_handler.py"])
def test_a_file_without_a_checksum_is_not_trusted(copy_archive: Callable[..., Path], name: str) -> None:
    folder = copy_archive()
    edit(folder, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(ArchiveError, match=f"no checksum of {name}"):
        read_archive(folder)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", "{}", '{"files": null}', '{"files": 5}', "\udcff"])
def test_a_manifest_that_cannot_be_read(copy_archive: Callable[..., Path], text: str | None) -> None:
    folder = copy_archive()
    if text is None:
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ArchiveError, match=r"^manifest\.json"):
        Worker(folder)


@pytest.mark.parametrize(
    "golden",
    [[], None, "a", [{}], [{"image": "!", "text": None, "label": "a", "scores": [1]}], [{"image": None, "text": "a"}]],
)
def test_golden_products_that_cannot_be_read(golden: Any) -> None:
    with pytest.raises(ArchiveError, match="golden products"):
        golden_products({"golden": golden})


def test_what_torchserve_adds_is_left_alone(copy_archive: Callable[..., Path]) -> None:
    folder = copy_archive()
    (folder / "MAR-INF").mkdir()
    (folder / "MAR-INF" / "MANIFEST.json").write_text("{}")
    (folder / "__pycache__").mkdir()
    shutil.copy(folder / "backends.py", folder / "__pycache__")
    assert Worker(folder).ask(form(text="shoe"))[0].status == 200


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.2, 0.7, 0.1], None),
        ([0.2009, 0.6991, 0.1], None),
        ([0.2011, 0.6989, 0.1], r"differ by 0\.0011, at most 0\.001 is allowed"),
        ([0.7, 0.2, 0.1], "differ by 0.5"),
        ([np.nan, 0.7, 0.1], "differ by nan"),
        ([0.2, 0.8], "2 scores, expected 3"),
    ],
)
def test_golden_answers_are_compared(scores: list[float], message: str | None) -> None:
    if message is None:
        check_golden(GOLDEN, np.array([scores]), labels="abc")
        return
    with pytest.raises(ArchiveError, match=message):
        check_golden(GOLDEN, np.array([scores]), labels="abc")


def test_labels_in_another_order_are_noticed() -> None:
    with pytest.raises(ArchiveError, match="golden product 1: 'c', expected 'b'"):
        check_golden(GOLDEN, np.array([[0.2, 0.7, 0.1]]), labels="acb")
