"""What keeps a server from starting, said before TorchServe is started; live starts are in tests/e2e."""

import functools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.archives.model_store import ModelStore
from client.server import local_server
from client.server.config import ServerConfig, read_config
from client.server.processes import server_processes
from client.server.run_folder import make_run_folder
from training.system.storage import StorageError, locked


@pytest.fixture
def config(tmp_path: Path, store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> ServerConfig:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    path = tmp_path / "config.properties"
    path.write_text(f"inference_address=http://127.0.0.1:{free}\nload_models=intermediate.mar\n")
    monkeypatch.setattr(local_server, "_taken", functools.partial(_only, free, local_server._taken))
    return read_config(path)


def _only(port: int, taken: Callable[[str, int], OSError | None], host: str, asked: int) -> OSError | None:
    """The other ports are TorchServe's own, which a server of this machine may use."""
    return taken(host, asked) if asked == port else None


@pytest.fixture
def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("TorchServe was started")

    monkeypatch.setattr(local_server, "_launch", refuse)


@pytest.mark.usefixtures("no_launch")
def test_a_missing_archive_is_named(config: ServerConfig, store: ModelStore) -> None:
    (store.folder / "intermediate.mar").unlink()
    with pytest.raises(ClientError, match=r"intermediate\.mar does not exist; .* `make archive` builds them"):
        local_server.start(config)


@pytest.mark.usefixtures("no_launch")
def test_a_taken_port_is_named(config: ServerConfig) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", config.ports[0]))
        other.listen()
        with pytest.raises(ClientError, match=f"port {config.ports[0]} is taken"):
            local_server.start(config)


def test_a_server_that_is_gone_is_not_found(config: ServerConfig) -> None:
    assert local_server.find_server(config) is None
    for state in ('{"temporary": "/nonexistent"}', "{}", "[]", ""):
        path = config.folder / local_server.STATE
        path.parent.mkdir(exist_ok=True)
        path.write_text(state)
        assert local_server.find_server(config) is None
    assert not local_server.stop(config) and not path.exists()


def test_a_setting_that_cannot_work_is_told_before_anything_is_started(config: ServerConfig) -> None:
    config.path.write_text(f"{config.path.read_text()}service_envelope=kserve\n")
    with pytest.raises(ClientError, match=r"config\.properties, line 3: service_envelope=kserve: "):
        local_server.start(read_config(config.path))
    assert not (config.folder / "logs").exists()


@pytest.mark.usefixtures("no_launch")
def test_a_port_for_root_is_not_said_to_be_taken(config: ServerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "_taken", lambda host, port: PermissionError(13, "Permission denied"))
    with pytest.raises(ClientError, match=r"is for root only; set one above 1023 in config\.properties"):
        local_server.start(config)


@pytest.mark.usefixtures("no_launch")
def test_two_starts_at_once(config: ServerConfig) -> None:
    with (
        locked(config.folder / ".torchserve" / "start.lock", taken="never"),
        pytest.raises(StorageError, match="another start is under way"),
    ):
        local_server.start(config)


def test_a_start_that_is_interrupted_leaves_nothing(config: ServerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while TorchServe's own script runs, which has started Java by then."""
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(*_: object, env: dict[str, str], **__: object) -> None:
        java = f"-Djava.io.tmpdir={env['TMPDIR']}"
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", java]))
        config.key_file.write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(local_server.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        local_server.start(config)
    assert started[0].wait(10) in (-15, -9)
    left = {str(path.relative_to(config.folder)) for path in config.folder.rglob("*") if path.suffix != ".mar"}
    assert left == {
        "config.properties",
        "model_store",
        "logs",
        "logs/console.log",
        ".torchserve",
        ".torchserve/start.lock",
    }


@pytest.fixture
def dead_server(config: ServerConfig) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """What a server leaves whose front end was killed: folder, state, key file, and a worker that fades."""
    folder = make_run_folder(config.folder, needs=0)
    (folder / "models").mkdir()
    state = config.folder / local_server.STATE
    state.write_text(json.dumps({"temporary": str(folder), "config": str(config.path)}))
    config.key_file.write_text("{}")
    command = [sys.executable, "-c", "import time; time.sleep(60)", "--sock-name", f"{folder}/.ts.sock.9000"]
    with subprocess.Popen(command) as worker:
        while not server_processes(folder):
            time.sleep(0.01)
        yield folder, worker
        worker.kill()


def test_a_server_whose_front_end_is_gone_does_not_run(
    config: ServerConfig, dead_server: tuple[Path, "subprocess.Popen[bytes]"]
) -> None:
    folder, worker = dead_server
    assert local_server.find_server(config) is None
    assert not local_server.stop(config)
    assert worker.wait(10) == -9
    assert not folder.exists() and not config.key_file.exists() and not (config.folder / local_server.STATE).exists()


def test_a_start_after_a_crash_clears_away_what_was_left(
    config: ServerConfig, dead_server: tuple[Path, "subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, worker = dead_server
    forgotten = make_run_folder(config.folder, needs=0)  # of a server before, whose state is overwritten

    def refuse(*_: object) -> None:
        raise ClientError("as far as that")

    monkeypatch.setattr(local_server, "_launch", refuse)
    with pytest.raises(ClientError, match="as far as that"):
        local_server.start(config)
    assert worker.wait(10) == -9
    assert not folder.exists() and not forgotten.exists() and not config.key_file.exists()


def test_the_key_of_a_server_that_was_started_by_hand_stays(
    config: ServerConfig, dead_server: tuple[Path, "subprocess.Popen[bytes]"]
) -> None:
    with socket.socket() as by_hand:
        by_hand.bind(("127.0.0.1", config.ports[0]))
        by_hand.listen()
        assert not local_server.stop(config)
    assert config.key_file.exists() and not dead_server[0].exists()


def test_a_server_is_found_without_its_state(config: ServerConfig) -> None:
    folder = make_run_folder(config.folder, needs=0)
    command = [sys.executable, "-c", "import time; time.sleep(60)", f"-Djava.io.tmpdir={folder}"]
    with subprocess.Popen(command, cwd=config.folder) as front_end:
        deadline = time.monotonic() + 10
        while local_server.find_server(config) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert local_server.stop(config)
        assert front_end.wait(10) == -15
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_to_is_a_sentence(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.folder / ".torchserve").write_text("a file where a folder is needed")
    with pytest.raises(StorageError, match=r"\.torchserve .* choose another folder"):
        local_server.start(config)


def test_the_server_gets_an_environment_of_its_own(
    config: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TS_CONFIG_FILE", "another.properties")
    for name in ("TS_OPEN_INFERENCE_PROTOCOL", "TS_DEBUG", *local_server._NOT_INHERITED):
        monkeypatch.setenv(name, "/somewhere")
    monkeypatch.setenv("LC_ALL", "C")
    environment = local_server._environment(config, tmp_path)
    assert environment["TS_CONFIG_FILE"] == str(config.path)
    assert environment["TEMP"] == environment["TMPDIR"] == str(tmp_path)
    assert "/somewhere" not in environment.values()
    assert environment["LC_ALL"] == "C.UTF-8" and environment["PYTHONFAULTHANDLER"] == "1"
    assert (Path(environment["JAVA_HOME"]) / "bin" / "java").is_file()
