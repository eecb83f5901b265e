"""A start that cannot succeed says why within seconds and leaves nothing; a start after a crash clears up."""

import os
import signal
import time
import zipfile
from pathlib import Path

import pytest
from live_server import repack
from scale import Figures

from benchmarks.server.systems.torchserve_config import write_config
from client.archives.model_store import Archive, ModelStore
from client.server import local_server
from client.server.local_server import StartError
from client.server.processes import server_processes

HANDLER = "product_handler.py"
SECONDS = 60.0
DEATHS = {
    "SIGSEGV": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "Fatal Python error: Segmentation fault"),
    "SIGKILL": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "die without a word"),
    "exit 1": ("import sys; sys.exit('no licence')", "no licence"),
    "import error": ("import a_missing_library", "No module named 'a_missing_library'"),
    "missing library": (
        "import ctypes; ctypes.CDLL('liba_missing.so.1')",
        "liba_missing.so.1: cannot open shared object",
    ),
}


@pytest.mark.parametrize("death", DEATHS)
def test_workers_that_die_at_load(archive: Archive, tmp_path: Path, figures: Figures, death: str) -> None:
    line, words = DEATHS[death]
    handler = zipfile.ZipFile(archive.path).read(HANDLER).decode()
    models = tmp_path / "models"
    models.mkdir()
    name = f"{archive.model}.mar"
    broken = {HANDLER: f"{line}\n{handler}".encode()}
    repack(archive.path, models / name, version="1.0", changes=broken, sealed=True)
    config = write_config(tmp_path, store=models, load_models=name)
    began = time.monotonic()
    with pytest.raises(StartError) as caught:
        local_server.start(config)
    spent, said = time.monotonic() - began, words in str(caught.value)
    left = [path.name for path in (tmp_path / ".torchserve").iterdir()]
    figures.require(
        f"workers die at load: {death}",
        f"said within {SECONDS:.0f} s, nothing left",
        f"{'said' if said else str(caught.value)[:80]} after {spent:.0f} s, left: {left}",
        said and spent < SECONDS and left == ["start.lock"] and not config.key_file.exists(),
    )


def test_a_start_after_a_crash(archive: Archive, store: ModelStore, tmp_path: Path, figures: Figures) -> None:
    config = write_config(tmp_path, store=store.folder, load_models=f"{archive.model}.mar")
    first = local_server.start(config)
    [front_end] = [process for process, is_front_end in server_processes(first.temporary).items() if is_front_end]
    os.kill(front_end, signal.SIGKILL)
    while first.running:
        time.sleep(0.01)
    second = local_server.start(config)
    left = server_processes(first.temporary)
    gone = not first.temporary.exists() and not left
    assert local_server.stop(config) and not second.temporary.exists()
    figures.require("serve after the front end was killed", "starts; nothing left", f"left: {left or 'none'}", gone)
