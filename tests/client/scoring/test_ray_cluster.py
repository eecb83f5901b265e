"""Scoring on a cluster: more than it has room for is refused with both numbers, and a lost machine loses no row."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from known_model import BLUE, RED, picture
from stub_engine import fingerprint, run

from client.api.errors import ClientError
from client.scoring.local import LocalEngine
from client.scoring.ray_data import refuse_too_many

ROOT = Path(__file__).parents[3]
PRODUCTS, CHUNK_ROWS = 400, 4
GIB = 2**30


@pytest.mark.parametrize(
    ("machines", "told"),
    [
        pytest.param(
            [{"CPU": 2.0}] * 2, r"5 copies .* want 5 cores .*; 2 machine\(s\) with 4 cores .* room for 4", id="cores"
        ),
        pytest.param(
            [{"CPU": 9.0, "memory": 3.0 * GIB}], r"about 5,120 MiB .*; .* room for 3: give --actors 3", id="memory"
        ),
        pytest.param([{"CPU": 4.0}, {"memory": 1e12}], "have room for 4", id="a head without cores"),
    ],
)
def test_more_actors_than_there_is_room_for_are_refused(machines: list[dict[str, float]], told: str) -> None:
    """Ray would go on with those that find room."""
    with pytest.raises(ClientError, match=told):
        refuse_too_many(machines, actors=5, cpus=1, memory=GIB)
    refuse_too_many([*machines, {"CPU": 2.0}], actors=5, cpus=1, memory=GIB)


def test_cores_of_two_machines_make_no_room_together() -> None:
    with pytest.raises(ClientError, match="room for 2: give --actors 2"):
        refuse_too_many([{"CPU": 3.0}] * 2, actors=3, cpus=2, memory=GIB)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A catalogue of a hundred chunks, with a product in each that no model can answer."""
    for name, content in (("red.png", picture(RED)), ("blue.png", picture(BLUE))):
        (tmp_path / name).write_bytes(content)
    rows = [f"{row},{('red.png', 'blue.png', '', 'missing.png')[row % 4]},Shoes {row}" for row in range(PRODUCTS)]
    (tmp_path / "products.csv").write_text("\n".join(["id,image,text", *rows]) + "\n")
    return tmp_path / "products.csv"


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'ray[data]'")
def test_a_real_cluster(known_archive: Path, shop: Path, tmp_path: Path) -> None:
    run(shop, tmp_path / "local", LocalEngine(known_archive), chunk_rows=CHUNK_ROWS)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as short:  # a socket's path has 107 bytes at most
        result = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("ray_cluster.py")),
                str(shop),
                str(known_archive),
                str(tmp_path),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": short},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert re.search("wants 3 cores, and the largest machine has 1", found["large"]["said"])
    assert re.search(r"want 5 cores .*; 2 machine\(s\) with 2 cores in all have room for 2", found["many"]["said"])
    assert max(found[name]["seconds"] for name in ("large", "many")) < 30
    assert found["chunks"] / 4 <= found["answered"] < found["chunks"] * 3 / 4  # the machine was lost half-way
    assert (found["summary"]["read"], found["summary"]["errors"]) == (PRODUCTS, PRODUCTS // 4)
    assert fingerprint(tmp_path / "lost") == fingerprint(tmp_path / "local")
