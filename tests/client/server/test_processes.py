"""Ending a server ends its processes, and no other."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.api.management import Management, ModelVersion
from client.archives.model_store import ModelStore
from client.server.processes import end_server, server_processes, worker_folders, workers
from client.server.readiness import restore_files
from handlers.product_serving.archive import SUMS, format_sums

Spawn = Callable[..., "subprocess.Popen[bytes]"]
WAITS = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, code: str = WAITS) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def reap(processes: list["subprocess.Popen[bytes]"]) -> None:
    """A child that nobody waits for stays as a zombie, without a command line."""
    for process in processes:
        process.wait(timeout=60)


def test_a_server_is_told_by_its_temporary_folder(spawn: Spawn, tmp_path: Path) -> None:
    front_end = spawn(f"-Djava.io.tmpdir={tmp_path}")
    worker = spawn("--sock-name", f"{tmp_path}/.ts.sock.9000")
    stranger = spawn(f"-Djava.io.tmpdir={tmp_path}2")
    deadline = time.monotonic() + 60
    while len(found := server_processes(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == {front_end.pid: True, worker.pid: False}
    assert not end_server(tmp_path, patience=0.5)  # nothing tells this worker to end but the kill
    reap([front_end, worker])
    assert front_end.returncode == -15 and worker.returncode == -9 and stranger.poll() is None


def test_what_does_not_end_is_killed(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn(f"-Djava.io.tmpdir={tmp_path}", code=STUBBORN)
    assert process.stdout is not None
    process.stdout.readline()
    assert not end_server(tmp_path, patience=0.3)
    reap([process])
    assert process.returncode == -9


def test_no_server_ends_at_once(tmp_path: Path) -> None:
    assert end_server(tmp_path, patience=0)


def test_a_worker_on_a_port_is_told_by_its_environment(tmp_path: Path) -> None:
    """As where TorchServe's library for sockets cannot be loaded."""
    command = [sys.executable, "-c", WAITS, "/x/ts/model_service_worker.py", "--port", "9000"]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}) as worker:
        deadline = time.monotonic() + 60
        while not workers(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert workers(tmp_path) == {worker.pid} and server_processes(tmp_path) == {worker.pid: False}
        assert not workers(tmp_path.parent)
        end_server(tmp_path, patience=10)
        assert worker.wait(60) == -9


class OneWorker(Management):
    """A server with one model, whose only worker is a given process."""

    def __init__(self, process: int) -> None:
        super().__init__()
        self.process = process

    def models(self) -> list[str]:
        return ["known"]

    def versions(self, model: str) -> list[ModelVersion]:
        return [ModelVersion(model, "1.0", "known.mar", 1, ("READY",), (self.process,), 0, 100, default=True)]


def test_files_that_were_deleted_under_a_worker_are_put_back(tmp_path: Path) -> None:
    home, unpacked, store = tmp_path / "home", tmp_path / "unpacked", tmp_path / "store"
    home.mkdir()
    store.mkdir()
    names = {"MAR-INF/MANIFEST.json": '{"model": {"modelName": "known", "modelVersion": "1.0"}}', "model.onnx": "graph"}
    with zipfile.ZipFile(store / "known-1.0.mar", "w") as archive:
        for name, content in {**names, SUMS: format_sums({"model.onnx": "0"})}.items():
            archive.writestr(name, content)
        archive.extractall(unpacked)
    started = f"[sys.executable, '-c', {WAITS!r}, *sys.argv[1:]], cwd={str(unpacked)!r}"
    worker = f"import subprocess, sys; subprocess.run({started})"
    command = [sys.executable, "-c", worker, "/x/ts/model_service_worker.py"]
    said: list[str] = []
    with subprocess.Popen(command, cwd=home, start_new_session=True) as front_end:
        try:
            deadline = time.monotonic() + 60
            while unpacked not in worker_folders(home).values() and time.monotonic() < deadline:
                time.sleep(0.01)
            [process] = worker_folders(home)
            restore = partial(restore_files, home, store=ModelStore(store), log=said.append)
            restore(OneWorker(process))
            assert not said
            (unpacked / "model.onnx").unlink()
            with pytest.raises(ClientError, match=r"has lost model\.onnx, and its worker ends"):
                restore(OneWorker(process + 1))
            restore(OneWorker(process))
            assert [line for line in said if "had lost model.onnx" in line] == said and len(said) == 1
            assert (unpacked / "model.onnx").read_text() == "graph"
            shutil.rmtree(unpacked)
            restore(OneWorker(process))
            assert "had lost SHA256SUMS" in said[1] and (unpacked / "MAR-INF" / "MANIFEST.json").exists()
            restore_files(tmp_path, OneWorker(process), ModelStore(store))  # a server of another folder
        finally:
            os.killpg(front_end.pid, signal.SIGKILL)
