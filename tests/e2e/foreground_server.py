"""A server in the foreground, as a process of a test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.server.systems.torchserve_config import ROOT
from client.server.config import ServerConfig
from client.server.processes import server_processes

PATIENCE = 60.0
STAYS = "Stays in the foreground"


class Foreground:
    """The process, and what it has printed."""

    def __init__(self, config: ServerConfig, process: "subprocess.Popen[bytes]", printed: Path) -> None:
        self.config, self.process, self._printed = config, process, printed

    @property
    def printed(self) -> str:
        return self._printed.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.printed and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert text in self.printed

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.tell(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it and all its processes as a lost machine does."""
        processes = [*server_processes(self.temporary), self.process.pid]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # at once: none sees another one end
            for process in processes:
                os.kill(process, number)

    def tell(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(children[0]) if self.process.args[0] == "unshare" else self.process.pid, number)  # type: ignore[index]

    @property
    def temporary(self) -> Path:
        return Path(json.loads((self.config.state / ".torchserve" / "server.json").read_text())["temporary"])


@contextmanager
def foreground(config: ServerConfig, *options: str, within: Sequence[str] = ()) -> Iterator[Foreground]:
    """Start it; whatever is left of it at the end of the block is stopped."""
    printed = config.state.with_name(f"{config.state.name}-printed.txt")
    command = [*within, sys.executable, "-m", "client", "--config", str(config.path), "serve", "--foreground", *options]
    with printed.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        yield Foreground(config, process, printed)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
