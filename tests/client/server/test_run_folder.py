"""Where a server keeps its temporary files, and that what a killed one left is removed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.api.errors import ClientError
from client.server import run_folder
from client.server.run_folder import is_run_folder, make_run_folder, remove_left_folders, require_room_for_logs

SOCKET = "/.ts.sock.65535"


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """TMPDIR, with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def home(other: Path) -> Path:
    """The folder of a configuration."""
    (other / "home").mkdir()
    return other / "home"


def test_it_lies_beside_the_configuration(home: Path) -> None:
    first, second = make_run_folder(home, needs=1), make_run_folder(home, needs=1)
    assert first != second and first.parent == home / ".torchserve" and not list(first.iterdir())
    assert is_run_folder(first, home) and not is_run_folder(home, home) and not is_run_folder(first, home.parent)


@pytest.mark.parametrize("name", ["x" * 90, "größe" * 20, "a long name with blanks " * 4])
def test_a_path_too_long_for_a_socket_moves_it(home: Path, name: str) -> None:
    deep = home / name
    deep.mkdir()
    folder = make_run_folder(deep, needs=1)
    assert folder.parent != deep / ".torchserve" and len(os.fsencode(f"{folder}{SOCKET}")) <= 107
    assert not list((deep / ".torchserve").iterdir())
    (folder / "models").mkdir()
    remove_left_folders(home)
    assert folder.exists(), "another configuration's"
    remove_left_folders(deep)
    assert not folder.exists()


def test_a_temporary_folder_that_is_too_long_is_passed_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = home / ("t" * 100)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    folder = make_run_folder(long, needs=1)
    try:
        assert folder.parent in (Path("/var/tmp"), Path("/tmp"))
    finally:
        folder.rmdir()


def test_without_a_place_each_reason_is_told(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(run_folder, "_places", lambda home: [(home, "run-"), (file, "run-")])
    with pytest.raises(ClientError) as caught:
        make_run_folder(home, needs=2**60)
    message = str(caught.value)
    assert f"{home}: 1,152,921,504,607 MB are needed" in message and f"{file}: File exists" in message
    assert "make room" in message and not list(home.iterdir())


def test_a_file_system_without_inodes_or_sockets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    def used_up(path: Any) -> os.statvfs_result:
        return os.statvfs_result([*real(path)[:5], 1000, 3, 3, *real(path)[8:]])

    monkeypatch.setattr(run_folder.os, "statvfs", used_up)
    with pytest.raises(ClientError, match="only 3 inodes left"):
        make_run_folder(home, needs=1)
    with pytest.raises(ClientError, match=f"the disk of {home} is full.*only 3 inodes left.*make room"):
        require_room_for_logs(home)


def test_a_place_from_which_no_library_can_be_loaded_is_the_second_best(
    home: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs

    def mounted(path: Any) -> os.statvfs_result:
        flags = os.ST_NOEXEC if everywhere or str(path).startswith(str(home)) else 0
        return os.statvfs_result([*real(path)[:8], flags, *real(path)[9:]])

    everywhere = False
    monkeypatch.setattr(run_folder.os, "statvfs", mounted)
    folder = make_run_folder(home, needs=1)
    assert folder.parent == other and not list((home / ".torchserve").iterdir())
    everywhere = True
    assert make_run_folder(home, needs=1).parent == home / ".torchserve"
    shutil.rmtree(folder)
