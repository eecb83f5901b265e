"""What keeps a server from starting, said before TorchServe is started; live starts are in tests/e2e."""

import socket
from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.archives.model_store import ModelStore
from client.server import local_server
from client.server.config import ServerConfig, read_config


@pytest.fixture
def config(tmp_path: Path, store: ModelStore) -> ServerConfig:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    path = tmp_path / "config.properties"
    path.write_text(f"inference_address=http://127.0.0.1:{free}\nload_models=intermediate.mar\n")
    return read_config(path)


@pytest.fixture
def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(server: local_server.LocalServer) -> None:
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


def test_the_server_gets_an_environment_of_its_own(
    config: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TS_CONFIG_FILE", "another.properties")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = local_server._environment(config, tmp_path)
    assert environment["TS_CONFIG_FILE"] == str(config.path)
    assert environment["TEMP"] == environment["TMPDIR"] == str(tmp_path)
    assert "PYTHONPATH" not in environment
    assert (Path(environment["JAVA_HOME"]) / "bin" / "java").is_file()
