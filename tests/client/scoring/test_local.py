"""The engines that hold the model themselves: the handler's own answers, checked archives, actors that agree."""

import hashlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from known_model import BLUE, LABELS, RED, picture
from PIL import Image
from stub_engine import fingerprint, rows_of, run

from client.api.errors import ClientError
from client.scoring import ray_data
from client.scoring.local import LocalEngine
from client.scoring.ray_data import RayEngine, refuse_too_large
from client.scoring.run import score_catalog
from handlers.product_serving.archive import SUMS, format_sums
from training.catalog import CatalogSource

ROOT = Path(__file__).parents[3]
with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'ray[data]'")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty products whose classes are known, then products that no model can answer."""
    folder = tmp_path_factory.mktemp("known-shop")
    for name, content in (
        ("red.png", picture(RED)),
        ("blue.png", picture(BLUE)),
        ("broken.jpg", b"\xff\xd8\xff broken"),
    ):
        (folder / name).write_bytes(content)
    with (folder / "long.jpg").open("wb") as file:
        file.truncate(6_000_001)
    rows = [f"{row},{('red.png', 'blue.png', '')[row % 3]},{'Shoes' if row % 2 else 'Bag'}" for row in range(40)]
    rows += ["40,broken.jpg,Shoes", "41,long.jpg,Shoes", "42,missing.jpg,Shoes", "43,,", "44,red.png,", "45,,Plain"]
    (folder / "products.csv").write_text("\n".join(["id,image,text", *rows]) + "\n")
    return folder / "products.csv"


def test_answers_are_those_of_the_archives_handler(known_archive: Path, shop: Path, tmp_path: Path) -> None:
    run(shop, tmp_path / "out", LocalEngine(known_archive))
    found = {int(row["id"]): row for row in rows_of(tmp_path / "out" / "predictions.csv")}
    assert sorted(found) == [*range(40), 44, 45]
    for number in range(40):  # a picture of one colour weighs more than any word
        shoe = (True, False, number % 2 == 1)[number % 3]
        assert found[number]["label"] == LABELS[shoe]
    assert {found[number]["modalities"] for number in (0, 2, 44)} == {"image+text", "text", "image"}
    assert len(json.loads(found[0]["top"])) == 2
    reasons = {int(row["id"]): row["reason"] for row in rows_of(tmp_path / "out" / "errors.csv")}
    assert reasons == {40: "image_corrupt", 41: "image_too_large", 42: "image_missing", 43: "product_empty"}


@pytest.mark.parametrize("shrink", [True, False])
def test_a_photograph_of_45_megapixels_is_shrunk_unless_that_is_turned_off(
    known_archive: Path, tmp_path: Path, shrink: bool
) -> None:
    Image.new("RGB", (8192, 5464), RED).save(tmp_path / "photo.jpg")
    (tmp_path / "shop.csv").write_text("image,text\nphoto.jpg,\n")
    summary = score_catalog(
        CatalogSource(path=str(tmp_path / "shop.csv")),
        tmp_path / "out",
        LocalEngine(known_archive),
        progress=False,
        shrink=shrink,
    )
    assert (summary["predicted"], summary["reasons"]) == ((1, {}) if shrink else (0, {"image_too_large": 1}))


def test_fewer_classes_may_be_listed(known_archive: Path, shop: Path, tmp_path: Path) -> None:
    run(shop, tmp_path / "out", LocalEngine(known_archive, top_k=1), top_k=1)
    assert {len(json.loads(row["top"])) for row in rows_of(tmp_path / "out" / "predictions.csv")} == {1}


def test_an_archive_that_was_changed_does_not_answer(known_archive: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.mar"
    with zipfile.ZipFile(known_archive) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b'"temperature": 1.6', b'"temperature": 1.7'))
    with pytest.raises(ClientError, match=r"changed\.mar: settings\.json is not the file that was verified"):
        LocalEngine(changed)
    truncated = tmp_path / "truncated.mar"
    truncated.write_bytes(known_archive.read_bytes()[:-200])
    with pytest.raises(ClientError, match="build the archive again"):
        LocalEngine(truncated)


def test_settings_of_another_version_are_a_sentence(known_archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(known_archive) as old:
        files = {name: old.read(name) for name in old.namelist()}
    files["settings.json"] = json.dumps({**json.loads(files["settings.json"]), "mood": "good"}).encode()
    listed = [line.split("  ", 1)[1] for line in files[SUMS].decode().splitlines()[1:]]
    files[SUMS] = format_sums({name: hashlib.sha256(files[name]).hexdigest() for name in listed}).encode()
    other = tmp_path / "other.mar"
    with zipfile.ZipFile(other, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    with pytest.raises(ClientError, match=r"other\.mar: settings\.json has settings \['mood'\].*make archive"):
        LocalEngine(other)


def run_on_ray(catalogue: Path, out: Path, archive: Path, *, actors: int) -> subprocess.CompletedProcess[str]:
    """A run on Ray in a process of its own, whose temporary files have a path that is too long for Ray's sockets."""
    temporary = out.with_name("temporary files of somebody whose folders have names like this")
    temporary.mkdir(exist_ok=True)
    driver = str(Path(__file__).with_name("ray_driver.py"))
    command = [sys.executable, driver, str(catalogue), str(out), str(archive), str(actors)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)


@with_ray
def test_actors_leave_the_same_files(known_archive: Path, shop: Path, tmp_path: Path) -> None:
    run(shop, tmp_path / "local", LocalEngine(known_archive))
    result = run_on_ray(shop, tmp_path / "ray", known_archive, actors=2)
    assert result.returncode == 0 and "Warning" not in result.stderr, result.stderr
    assert fingerprint(tmp_path / "ray") == fingerprint(tmp_path / "local")


def test_ray_that_is_not_installed_is_said(known_archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ClientError, match=r"pip install 'ray\[data\]'"):
        RayEngine(known_archive)


@pytest.mark.parametrize(
    ("machines", "told"),
    [
        pytest.param([{"CPU": 2.0}], r"wants 4 cores, and the largest machine has 2: give --actor-cpus 2", id="cores"),
        pytest.param(
            [{"CPU": 3.0}] * 9, r"wants 4 cores, and the largest machine has 3", id="an actor is in one place"
        ),
        pytest.param([{"memory": 1e12}], r"has 0: .*machines that compute", id="a cluster's head without cores"),
        pytest.param([], "has 0", id="no machine"),
        pytest.param(
            [{"CPU": 4.0, "memory": 2.0**29}, {"CPU": 2.0, "memory": 1e12}],
            r"about 1,024 MiB of memory, and the largest machine with 4 cores lends Ray 512 MiB",
            id="memory where the cores are",
        ),
    ],
)
def test_an_actor_that_no_machine_has_room_for_is_refused(machines: list[dict[str, float]], told: str) -> None:
    """Ray would wait for ever."""
    with pytest.raises(ClientError, match=told):
        refuse_too_large(machines, cpus=4, memory=2**30)
    refuse_too_large([*machines, {"CPU": 4.0, "memory": 2.0**30}], cpus=4, memory=2**30)


@with_ray
def test_a_run_that_ray_cannot_begin_is_told_within_seconds(
    known_archive: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(**given: Any) -> str:
        began = time.monotonic()
        with pytest.raises(ClientError) as refused:
            run(shop, tmp_path / "out", RayEngine(known_archive, **given))
        assert time.monotonic() - began < 30
        return str(refused.value)

    monkeypatch.setattr(ray_data, "usable_cores", lambda: 2)
    assert "wants 3 cores, and the largest machine has 2" in told(cpus=3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "no Ray cluster answers" in told(address=f"127.0.0.1:{port}")
    assert "Invalid address format" in told(address="cluster")

    def other_version(**options: Any) -> None:
        raise RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.9\n    Python: 3.9\nThis process"
        )

    monkeypatch.setattr("ray.init", other_version)
    assert "mismatch: The cluster was started with: Ray: 2.9 Python: 3.9 This" in told()
