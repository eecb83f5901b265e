"""Connections of another process: seen, and new ones refused while those that were accepted go on."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from client.server.listeners import has_connections, refuse_connections

ECHO = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
while data := connection.recv(100):
    connection.sendall(data)
"""


@pytest.fixture
def server() -> Iterator[tuple[int, int]]:
    """Process id and port of a server that returns what one client sends."""
    with subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.kill()


def test_new_connections_are_refused_and_others_go_on(server: tuple[int, int]) -> None:
    process, port = server
    assert not has_connections(port)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"one")
        assert client.recv(100) == b"one"
        assert has_connections(port)
        assert refuse_connections(process, port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
        client.sendall(b"two")
        assert client.recv(100) == b"two"
        assert not refuse_connections(process, port)  # it listens no more


SLOW = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
time.sleep(1)
connection, _ = listener.accept()
connection.sendall(connection.recv(100))
connection.recv(100)
"""


def test_a_connection_that_was_not_accepted_yet_goes_on() -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"early")
            assert refuse_connections(process.pid, port)
            assert client.recv(100) == b"early"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
        process.kill()


def test_a_port_that_the_process_does_not_have(server: tuple[int, int]) -> None:
    process, port = server
    assert not refuse_connections(process, 1)
    socket.create_connection(("127.0.0.1", port), timeout=10).close()


def test_a_process_that_has_ended() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert not refuse_connections(ended.pid, 8080)


def test_a_system_that_forbids_it(server: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_process: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "pidfd_open", forbidden)
    process, port = server
    assert not refuse_connections(process, port)
    socket.create_connection(("127.0.0.1", port), timeout=10).close()
