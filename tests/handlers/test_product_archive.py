"""An archive with changed files or unexpected answers does not load; processes load one in turn."""

import shutil
import subprocess
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import flip_bit
from serving import LABELS, Worker, form, seal

import handlers
from export.bom import BOM
from handlers.product_serving.archive import (
    SUMS,
    ArchiveError,
    GoldenProduct,
    in_turn,
    read_golden_products,
    read_manifest,
    require_golden_answers,
)
from handlers.product_serving.engines.engine import EngineError
from handlers.product_serving.settings import Attribute, ProductSettings

NEEDED = ("manifest.json", "settings.json", "model.pt", "model.onnx", "tokenizer.json", "product_handler.py")
PARTS = tuple(f"model.{part}.onnx" for part in ("cells", "tokens", "classify"))
HANDLERS = Path(handlers.__path__[0])
OURS = sorted(
    ["product_handler.py", *(str(path.relative_to(HANDLERS)) for path in HANDLERS.glob("product_serving/**/*.py"))]
)
GOLDEN = [GoldenProduct(None, "a", np.array([0.2, 0.7, 0.1]), {"label": "b"})]


def test_a_whole_archive_is_read(archive: Path) -> None:
    assert [product.label in LABELS for product in read_golden_products(read_manifest(archive))] == [True] * 3


def test_sha256sum_reads_the_checksums(archive: Path) -> None:
    result = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=archive, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("place", [0, 0.5, 1])
@pytest.mark.parametrize("name", [*NEEDED[:-1], *OURS, SUMS])
def test_one_changed_byte_is_named(copy_archive: Callable[..., Path], name: str, place: float) -> None:
    folder = copy_archive()
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(flip_bit(data, int(place * (len(data) - 1))))
    with pytest.raises(ArchiveError, match=f"^{name} (is not|cannot be read).*make archive"):
        Worker(folder)


def test_one_changed_byte_in_any_file_of_an_unpacked_mar_is_named(known_archive: Path, tmp_path: Path) -> None:
    """The archiver's files are checked too: the server's manifest and the worker's configuration."""
    with zipfile.ZipFile(known_archive) as content:
        names = content.namelist()
        content.extractall(tmp_path)
    assert {"MAR-INF/MANIFEST.json", "model-config.yaml", "sitecustomize.py", BOM, SUMS, *NEEDED, *OURS, *PARTS} == set(
        names
    )
    for name in names:
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(flip_bit(whole, len(whole) // 3))
        with pytest.raises(ArchiveError, match=f"^{name} "):
            Worker(tmp_path)
        (tmp_path / name).write_bytes(whole)
    assert Worker(tmp_path).ask(form(text="shoe"))[0].status == 200


def test_a_damaged_check_refuses_or_does_not_run(copy_archive: Callable[..., Path]) -> None:
    """The worker runs the archive's own module; a damaged module must detect the damage or fail."""
    folder = copy_archive()
    path = folder / "product_serving" / "archive.py"
    source = path.read_bytes()
    for position in range(0, len(source), 29):
        damaged = flip_bit(source, position)
        path.write_bytes(damaged)
        module = {"__package__": "handlers.product_serving", "__name__": "handlers.product_serving.archive"}
        with pytest.raises(Exception, match=r"."), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(damaged, "archive.py", "exec"), module)
            module["read_manifest"](folder)  # type: ignore[operator]


def test_any_damage_of_the_list_is_detected(copy_archive: Callable[..., Path]) -> None:
    """For every flipped byte and every lost line."""
    folder = copy_archive()
    whole = (folder / SUMS).read_bytes()
    lines = whole.splitlines(keepends=True)
    damaged = [flip_bit(whole, position) for position in range(0, len(whole), 3)]
    damaged += [b"".join(lines[:row] + lines[row + 1 :]) for row in range(len(lines))] + [whole + b"\n", b""]
    for content in damaged:
        (folder / SUMS).write_bytes(content)
        with pytest.raises(ArchiveError, match=f"^{SUMS}"):
            read_manifest(folder)


@pytest.mark.parametrize("name", [*NEEDED, "product_serving/request.py", SUMS])
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
        read_manifest(folder)


@pytest.mark.parametrize("name", NEEDED)
def test_a_file_without_a_checksum_is_not_trusted(copy_archive: Callable[..., Path], name: str) -> None:
    folder = copy_archive()
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    seal(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(ArchiveError, match=f"no checksum of {name}"):
        read_manifest(folder)


def settings_of(labels: str) -> ProductSettings:
    return ProductSettings(model="tiny", attributes=(Attribute(name="label", labels=tuple(labels)),))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\udcff"])
def test_a_manifest_that_cannot_be_read(copy_archive: Callable[..., Path], text: str) -> None:
    folder = copy_archive()
    (folder / "manifest.json").write_text(text, errors="surrogateescape")
    seal(folder)
    with pytest.raises((ArchiveError, EngineError), match=r"manifest\.json"):
        Worker(folder)


def test_an_archive_of_an_earlier_version_is_refused(copy_archive: Callable[..., Path]) -> None:
    with pytest.raises(ArchiveError, match=r"^settings\.json has settings \['backend'\].*; build the archive again"):
        Worker(copy_archive(backend="auto"))
    folder = copy_archive()
    seal(folder, fast={"onnxruntime:int8": {"passed": True}})
    with pytest.raises(ArchiveError, match=r"names engines \['onnxruntime:int8'\].*; build the archive again"):
        Worker(folder)


@pytest.mark.parametrize(
    "golden",
    [
        [],
        None,
        "a",
        [{}],
        [{"image": "!", "text": None, "labels": {"label": "a"}, "scores": [1]}],
        [{"image": None, "text": "a"}],
        [{"image": None, "text": "a", "labels": {}, "scores": [1]}],
    ],
)
def test_golden_products_that_cannot_be_read(golden: Any) -> None:
    with pytest.raises(ArchiveError, match="golden products"):
        read_golden_products({"golden": golden})


def test_files_added_by_torchserve_are_ignored(copy_archive: Callable[..., Path]) -> None:
    folder = copy_archive()
    (folder / "MAR-INF").mkdir()
    (folder / "MAR-INF" / "MANIFEST.json").write_text("{}")
    (folder / "__pycache__").mkdir()
    shutil.copy(folder / "product_handler.py", folder / "__pycache__")
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
        require_golden_answers(GOLDEN, np.array([scores]), settings=settings_of("abc"), tolerance=1e-3)
        return
    with pytest.raises(ArchiveError, match=message):
        require_golden_answers(GOLDEN, np.array([scores]), settings=settings_of("abc"), tolerance=1e-3)


def test_labels_must_be_the_verified_ones(copy_archive: Callable[..., Path]) -> None:
    """Also labels without a golden product: here the first and the last are swapped."""
    folder = copy_archive()
    seal(folder, attributes={"label": LABELS})
    assert Worker(folder).ask(form(text="shoe"))[0].status == 200
    for wrong in ({"label": [LABELS[-1], *LABELS[1:-1], LABELS[0]]}, {"kind": LABELS}, {}):
        seal(folder, attributes=wrong)
        with pytest.raises(ArchiveError, match=r"^settings\.json: its labels are not those that were verified"):
            Worker(folder)


def test_labels_in_another_order_are_noticed() -> None:
    with pytest.raises(ArchiveError, match="golden product 1: 'c', expected 'b'"):
        require_golden_answers(GOLDEN, np.array([[0.2, 0.7, 0.1]]), settings=settings_of("acb"), tolerance=1e-3)


def test_who_loads_one_archive_waits_for_the_other(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with in_turn(tmp_path):
            order.append("second")

    with in_turn(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_folder_that_cannot_be_written_to_stops_nobody(tmp_path: Path) -> None:
    with in_turn(tmp_path / "gone"), in_turn(tmp_path / "gone"):
        assert not (tmp_path / "gone").exists()
