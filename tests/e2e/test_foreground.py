"""A server in the foreground, as a supervisor runs it: readiness, logs, a drain, and an honest status."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path

import pytest
from callers import callers
from foreground_server import PATIENCE, STAYS, foreground
from live_server import repack

from benchmarks.server.systems.torchserve_config import ROOT, write_config
from client.server.config import STATE_VARIABLE, ServerConfig, read_config
from client.server.processes import server_processes, workers

FIRST_PROCESS = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def config(tmp_path: Path, known_archive: Path, monkeypatch: pytest.MonkeyPatch) -> ServerConfig:
    """Of a read-only project with a relative model store, whose server writes into a folder of its own."""
    home, state = tmp_path / "a project", tmp_path / "state"
    (home / "model_store").mkdir(parents=True)
    state.mkdir()
    shutil.copy(known_archive, home / "model_store" / "known.mar")
    path = write_config(home, store=Path("model_store"), load_models="known.mar").path
    path.write_text(path.read_text().replace(f"={ROOT / 'deploy'}/", "=deploy/"))
    (home / "deploy").symlink_to(ROOT / "deploy")
    monkeypatch.setenv(STATE_VARIABLE, str(state))
    return read_config(path)


def ask(config: ServerConfig) -> str:
    """One request on a connection of its own: its status, or `refused`."""
    connection = HTTPConnection("127.0.0.1", config.listeners["inference_address"][1], timeout=PATIENCE)
    try:
        connection.connect()
    except ConnectionRefusedError:
        return "refused"
    try:
        headers = {**config.tokens().headers("inference"), "Content-Type": "text/plain"}
        connection.request("POST", "/predictions/known", b"red shoe", headers)
        return str(connection.getresponse().status)
    finally:
        connection.close()


@pytest.mark.parametrize("within", [(), FIRST_PROCESS], ids=["a process", "the first process of a container"])
def test_it_answers_until_it_is_told_to_stop(config: ServerConfig, within: Sequence[str]) -> None:
    with foreground(config, within=within) as server:
        server.wait_for(STAYS)
        assert "known 1.0: 2 READY, 6 golden products as expected" in server.printed
        assert ask(config) == "200"
        assert server.stop() == 0
    assert "known 1.0 answers with" in server.printed  # what a worker logs
    assert "The server is stopped; every request was answered." in server.printed
    assert sorted(path.name for path in config.state.iterdir()) == [".torchserve", "deploy", "logs", "model_store"]
    assert not list((config.state / ".torchserve").glob("run-*"))
    assert sorted(path.name for path in config.folder.iterdir()) == ["config.properties", "deploy", "model_store"]


def test_a_drain_loses_no_request(config: ServerConfig) -> None:
    with foreground(config) as server:
        server.wait_for(STAYS)
        with callers(8, lambda: ask(config)) as outcomes:
            time.sleep(1)
            status = server.stop()
    assert status == 0
    assert set(outcomes) == {"200", "refused"}
    assert outcomes.count("200") > 100
    assert "new connections are refused" in server.printed


def test_a_client_that_never_stops_is_cut_off_and_the_status_says_so(config: ServerConfig) -> None:
    port = config.listeners["inference_address"][1]
    with foreground(config, "--drain", "1") as server:
        server.wait_for(STAYS)
        over, answers = threading.Event(), []
        headers = {**config.tokens().headers("inference"), "Content-Type": "text/plain"}

        def caller() -> None:
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                while not over.is_set():
                    connection.request("POST", "/predictions/known", b"red shoe", headers)
                    answers.append(connection.getresponse().read())
            except OSError:  # the server is gone, as it should be
                return

        thread = threading.Thread(target=caller)
        thread.start()
        time.sleep(0.5)
        status = server.stop()
        over.set()
        thread.join()
    assert answers
    assert status == 1
    assert "requests were still under way after 1 s and got no answer; --drain gives them longer" in server.printed


def test_a_model_that_does_not_load_ends_it(config: ServerConfig, known_archive: Path) -> None:
    with zipfile.ZipFile(known_archive) as content:
        settings = json.loads(content.read("settings.json")) | {"engine": "none such"}
    archive = config.model_store / "known.mar"
    repack(known_archive, archive, version="1.0", changes={"settings.json": json.dumps(settings).encode()}, sealed=True)
    with foreground(config) as server:
        assert server.process.wait(PATIENCE) == 1
    assert "known.mar does not load" in server.printed and "Traceback" not in server.printed
    assert not list((config.state / ".torchserve").glob("run-*"))


def test_a_front_end_that_is_killed_ends_it(config: ServerConfig) -> None:
    with foreground(config) as server:
        server.wait_for(STAYS)
        temporary = server.temporary
        [front_end] = [process for process, leads in server_processes(temporary).items() if leads]
        os.kill(front_end, signal.SIGKILL)
        assert server.process.wait(PATIENCE) == 1
    assert "TorchServe ended by itself" in server.printed
    assert not server_processes(temporary) and not temporary.exists()


def test_a_worker_that_is_killed_comes_back_and_is_told(config: ServerConfig) -> None:
    with foreground(config) as server:
        server.wait_for(STAYS)
        before = workers(server.temporary)
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while len(now := workers(server.temporary)) < 2 or now == before:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        server.wait_for("answers with")
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_undoes_the_start(config: ServerConfig, number: signal.Signals) -> None:
    with foreground(config) as server:
        server.wait_for("TorchServe starts in")
        server.tell(number)
        assert server.process.wait(PATIENCE) == 128 + number
    assert re.search("interrupted", server.printed)
    assert not list((config.state / ".torchserve").glob("run-*"))


def test_a_second_server_of_the_same_folder_is_refused(config: ServerConfig) -> None:
    with foreground(config) as server:
        server.wait_for(STAYS)
        command = [sys.executable, "-m", "client", "--config", str(config.path), "serve", "--foreground"]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert second.returncode == 1 and "already running" in second.stderr
        assert server.stop() == 0


def test_alive_asks_the_front_end_alone(config: ServerConfig) -> None:
    command = [sys.executable, "-m", "client", "--config", str(config.path), "alive"]
    nobody = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert nobody.returncode == 3 and "no server answers" in nobody.stderr
    with socket.create_server(config.listeners["inference_address"]) as listener:
        thread = threading.Thread(target=answer_badly, args=(listener,))
        thread.start()
        living = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        thread.join()
    assert (living.returncode, living.stdout) == (0, "TorchServe answers.\n")


def answer_badly(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
