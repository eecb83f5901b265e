"""What a service manager is told (sd_notify(3))."""

import os
import socket
from pathlib import Path

import pytest

from client.server.foreground import notify


def test_nobody_is_told_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(socket, "socket", lambda *kinds: opened.append(1))
    notify("READY=1")
    assert not opened


@pytest.mark.parametrize("abstract", [False, True], ids=["a file", "an abstract address"])
def test_the_state_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> None:
    name = f"@notify-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"
