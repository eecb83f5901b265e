"""Archives: their content, loading without the repository, and refusals."""

import dataclasses
import errno
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from client.drift.reference import read_reference
from export import build as build_module
from export import run_products as products_module
from export.__main__ import main
from export.archive import BuildError, archive_version, check_archive
from export.build import build_archive
from export.queue_size import queue_size
from export.run_products import read_run_products
from handlers.product_serving.engines.onnx import OnnxEngine
from training.run.checkpoint import RunError
from training.run.record import read_run
from training.system import storage

pytestmark = pytest.mark.slow


@pytest.fixture
def content(intermediate_archive: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(intermediate_archive)


@pytest.fixture(scope="module")
def text_archive(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1.0 of the model that is built fastest, alone in a store."""
    test, store = read_run_products(trained_run, limit=4), tmp_path_factory.mktemp("store")
    return build_archive(trained_run, "text", version="1.0", store=store, test=test).archive


def test_an_archive_holds_all_it_needs(content: zipfile.ZipFile) -> None:
    manifest, sums = json.loads(content.read("manifest.json")), content.read("SHA256SUMS").decode()
    names = set(content.namelist())
    assert {
        "product_handler.py",
        "settings.json",
        "tokenizer.json",
        "model.pt",
        "model.onnx",
        "model-config.yaml",
        "model-card.md",
    } <= names
    config = yaml.safe_load(content.read("model-config.yaml"))
    assert config["minWorkers"] == config["maxWorkers"] == 2
    assert 200 <= config["jobQueueSize"] <= 1000
    assert names - {line.split("  ")[1] for line in sums.splitlines()[1:]} == {"SHA256SUMS"}
    assert not any(name.endswith((".pkl", ".bin")) for name in names)
    assert manifest["parity"]["onnx"]["passed"] and manifest["parity"]["torchscript"]["passed"]
    int8 = manifest["fast"].get("int8", {"passed": False})  # nothing is said of it without VNNI
    assert ("model.int8.cells.onnx" in names) == int8["passed"]
    golden = manifest["golden"]
    assert any(entry["image"] is None for entry in golden) and any(entry["text"] is None for entry in golden)


def test_an_archive_holds_no_path_of_the_machine(content: zipfile.ZipFile, trained_run: Path) -> None:
    for name in content.namelist():
        if name.endswith((".json", ".yaml", ".py", ".md")):
            assert str(trained_run.parent) not in content.read(name).decode("utf-8")


def test_a_changed_archive_does_not_load(text_archive: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.mar"
    with zipfile.ZipFile(text_archive) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b'"pad"', b'"squash"') if name == "settings.json" else data)
    with pytest.raises(BuildError, match=r"settings\.json"):
        check_archive(changed)


def test_building_another_version_keeps_the_default_version(text_archive: Path, trained_run: Path) -> None:
    test, store = read_run_products(trained_run, limit=4), text_archive.parent
    second = build_archive(trained_run, "text", version="2.0", store=store, test=test, engine="onnx")
    with zipfile.ZipFile(second.archive) as content:
        assert json.loads(content.read("settings.json"))["engine"] == "onnx"
    assert archive_version(second.archive) == "2.0"
    assert archive_version(store / "text.mar") == "1.0"
    assert not list(store.glob(".*"))


def test_a_graph_that_disagrees_is_not_archived(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = OnnxEngine.__call__
    monkeypatch.setattr(OnnxEngine, "__call__", lambda engine, batch: np.roll(right(engine, batch), 1, axis=1))
    store = tmp_path / "store"
    assert main(["--run", str(trained_run), "--model", "text", "--store", str(store)]) == 1
    assert "onnx disagrees" in capsys.readouterr().err
    assert not store.exists()


def test_a_run_that_is_not_complete_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "alone" / "run"
    folder.mkdir(parents=True)
    assert main(["--run", str(folder)]) == 1
    assert "holds no run; `python -m training train` makes one" in capsys.readouterr().err


def test_a_catalogue_that_changed_is_noticed(trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_catalog = products_module.read_catalog

    def shortened(*arguments: Any, **keywords: Any) -> Any:
        catalog = read_catalog(*arguments, **keywords)
        return dataclasses.replace(catalog, products=catalog.products.head(len(catalog.products) // 2))

    monkeypatch.setattr(products_module, "read_catalog", shortened)
    with pytest.raises(RunError, match="has changed"):
        read_run_products(trained_run, limit=None)


def test_another_run_does_not_overwrite_a_version(
    text_archive: Path, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal comes before the export; the same run may build its archives again."""
    other, before = tmp_path / "shop", text_archive.read_bytes()
    shutil.copytree(trained_run, other)
    record = json.loads((other / "run.json").read_text(encoding="utf-8"))
    (other / "run.json").write_text(json.dumps({**record, "created": "2026-11-30T12:00:00+00:00"}), encoding="utf-8")
    given = ["--model", "text", "--store", str(text_archive.parent), "--limit", "4"]
    assert main(["--run", str(other), *given]) == 1
    told = capsys.readouterr()
    assert f"make archive RUN={other} VERSION=2.0" in told.err and f"make archive RUN={other} REPLACE=1" in told.err
    assert "Archiving" not in told.out and text_archive.read_bytes() == before
    assert main(["--run", str(other), *given, "--replace"]) == 0
    assert text_archive.read_bytes() != before
    assert main(["--run", str(trained_run), *given]) == 1, "as a bare `make archive` after it"
    assert main(["--run", str(other), *given]) == 0, "the same run again"


@pytest.mark.parametrize(("speed", "queue"), [(0.5, 200), (80, 200), (160, 300), (3000, 1000)])
def test_a_queue_is_two_seconds_long_within_bounds(speed: float, queue: int) -> None:
    assert queue_size(speed) == queue


def test_a_disk_without_room_is_refused_before_the_export(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build_module, "export_graphs", lambda *_: pytest.fail("the slow part has begun"))
    store = tmp_path / "new" / "store"
    for full in (Path(tempfile.gettempdir()), tmp_path):

        def free(folder: Path, full: Path = full) -> SimpleNamespace:
            return SimpleNamespace(free=2**12 if folder == full else 2**40)

        monkeypatch.setattr(storage.shutil, "disk_usage", free)
        assert main(["--run", str(trained_run), "--model", "text", "--store", str(store)]) == 1
        assert f"the disk of {full} is full: text.mar takes" in capsys.readouterr().err
    assert not store.parent.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_the_system_refuses_under_way_is_a_sentence(
    number: int, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*given: Any, **named: Any) -> None:
        raise OSError(number, os.strerror(number), "model.onnx")

    monkeypatch.setattr(build_module, "export_graphs", refused)
    assert main(["--run", str(trained_run), "--model", "text", "--store", str(tmp_path / "store")]) == 1
    [told] = capsys.readouterr().err.splitlines()
    assert told.startswith(f"error: model.onnx: {os.strerror(number)}; ")
    assert not (tmp_path / "store").exists()


def test_an_archive_carries_the_answers_to_the_validation_part(trained_run: Path, intermediate_archive: Path) -> None:
    of_run, of_archive = (read_reference(path, model="intermediate") for path in (trained_run, intermediate_archive))
    assert of_archive.version == "1.0" and of_run.version is None
    assert dataclasses.replace(of_archive.counts, source="") == dataclasses.replace(of_run.counts, source="")
    counts = of_run.counts
    assert sum(counts.labels.values()) == pytest.approx(counts.products, abs=0.1)
    assert counts.products == read_run(trained_run).split.validation
