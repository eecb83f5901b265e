"""Ending a server ends its processes, and no other."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.server.processes import end_server, server_processes, worker_folders, workers
from client.server.readiness import check_files
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


def test_files_that_were_deleted_under_a_worker_are_named(tmp_path: Path) -> None:
    home, unpacked = tmp_path / "home", tmp_path / "unpacked"
    home.mkdir()
    unpacked.mkdir()
    (unpacked / SUMS).write_text(format_sums({"model.onnx": "0", "settings.json": "0"}))
    for name in ("model.onnx", "settings.json"):
        (unpacked / name).touch()
    started = f"[sys.executable, '-c', {WAITS!r}, *sys.argv[1:]], cwd={str(unpacked)!r}"
    worker = f"import subprocess, sys; subprocess.run({started})"
    command = [sys.executable, "-c", worker, "/x/ts/model_service_worker.py"]
    with subprocess.Popen(command, cwd=home, start_new_session=True) as front_end:
        try:
            deadline = time.monotonic() + 60
            while unpacked not in worker_folders(home) and time.monotonic() < deadline:
                time.sleep(0.01)
            check_files(home)
            (unpacked / "model.onnx").unlink()
            with pytest.raises(ClientError, match=r"has lost model\.onnx and 0 other files"):
                check_files(home)
            shutil.rmtree(unpacked)
            with pytest.raises(ClientError, match="has lost SHA256SUMS"):
                check_files(home)
            check_files(tmp_path)
        finally:
            os.killpg(front_end.pid, signal.SIGKILL)


def test_a_workers_child_is_no_worker(spawn: Spawn, tmp_path: Path) -> None:
    """Libraries ask other programs while they load; a child that ends is no worker that dies."""
    forks = "import os, time; child = os.fork(); print(flush=True); time.sleep(60 if child else 5)"
    worker = spawn("/x/ts/model_service_worker.py", "--sock-name", f"{tmp_path}/.ts.sock.9000", code=forks)
    assert worker.stdout is not None
    worker.stdout.readline()
    assert len(server_processes(tmp_path)) == 2 and workers(tmp_path) == {worker.pid}
