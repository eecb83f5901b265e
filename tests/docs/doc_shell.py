"""Run the command blocks of a page as a reader would: one after the other, in one shell, in a folder of one's own.

The folder is a copy of the project's files with the environment linked into it. Its ports differ from the printed ones,
so that another server does not matter. Everything else is typed as printed.
"""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from doc_pages import ROOT, Block

from benchmarks.server.systems.torchserve_config import free_ports

_PRINTED_PORTS = ("8080", "8081", "8082", "7070", "7071")
_MARK = "DOCUMENTATION_TEST"
_BEGIN = "@@@ block"
_NOT_INHERITED = ("TS_CONFIG_FILE", "VIRTUAL_ENV", "MAKEFLAGS")


@dataclasses.dataclass(frozen=True)
class Desk:
    """A folder to work in.

    Args:
        folder: copy of the project.
        ports: printed port -> the one used here.
    """

    folder: Path
    ports: Mapping[str, str]

    def local(self, text: str) -> str:
        """A text with the ports of this folder."""
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: self.ports.get(found[0], found[0]), text)

    def again(self, folder: Path) -> "Desk":
        """A copy of this folder as it is now."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp"))
        return Desk(folder, self.ports)


def lay_out(folder: Path) -> Desk:
    """Copy the project's tracked files, and link its environment."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    for lock in folder.rglob("*.lock"):  # the environment is younger: nothing is installed again
        os.utime(lock, (0, 0))
    desk = Desk(folder, dict(zip(_PRINTED_PORTS, map(str, free_ports(len(_PRINTED_PORTS))), strict=True)))
    config = folder / "config.properties"
    grpc = f"grpc_inference_port={desk.ports['7070']}\ngrpc_management_port={desk.ports['7071']}\n"
    config.write_text(desk.local(config.read_text(encoding="utf-8")) + grpc, encoding="utf-8")
    return desk


def run_blocks(desk: Desk, blocks: Sequence[Block], *, environment: Mapping[str, str], timeout: float) -> list[str]:
    """Run command blocks in one shell that ends at the first command that fails.

    Returns:
        What each printed, standard error included; shorter than ``blocks`` by those that were not reached.

    Raises:
        AssertionError: a block failed; the message has its place and its last lines.
    """
    parts = [f"printf '{_BEGIN} %s\\n' {number}\n{desk.local(block.text)}\n" for number, block in enumerate(blocks)]
    mark = uuid.uuid4().hex
    temporary = desk.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    clean = {
        name: value for name, value in os.environ.items() if name not in ("TS_CONFIG_FILE", "VIRTUAL_ENV", "MAKEFLAGS")
    }
    log = desk.folder / "typed.log"
    with log.open("wb") as output, _ended(mark):
        status = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "".join(parts)],
            cwd=desk.folder,
            env={**clean, _MARK: mark, "TMPDIR": str(temporary), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        ).returncode
    printed = [part.split("\n", 1)[1] for part in log.read_text(encoding="utf-8", errors="replace").split(_BEGIN)[1:]]
    if status:
        last = "\n".join(re.split(r"[\r\n]", printed[-1])[-40:])
        raise AssertionError(f"{blocks[len(printed) - 1]} ended with status {status}:\n{last}")
    return printed


def missing_lines(shown: str, printed: str) -> list[str]:
    """Lines of a shown output that no printed line is like, in order.

    Numbers may differ, and ``…`` stands for anything. Spaces do not count.
    """
    rest = iter([line for line in re.split(r"[\r\n]+", printed) if line.strip()])
    missing = []
    for line in filter(str.strip, shown.splitlines()):
        pattern = _pattern(line)
        if line.strip() != "…" and not any(pattern.search(_plain(candidate)) for candidate in rest):
            missing.append(line)
            break
    return missing


def _plain(line: str) -> str:
    return re.sub(r"\s+", "", line)


def _pattern(line: str) -> re.Pattern[str]:
    escaped = re.escape(_plain(line)).replace("…", ".*")
    return re.compile(re.sub(r"\d(\d|,|\\\.)*", lambda _: r"[\d,.]+", escaped))


@contextmanager
def _ended(mark: str) -> Iterator[None]:
    """End all that was started meanwhile and still runs, told by a mark in its environment."""
    try:
        yield
    finally:
        while left := _marked(mark):
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.1)


def _marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"{_MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
