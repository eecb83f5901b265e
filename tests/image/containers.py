"""Runs commands and containers for the tests of the image."""

import json
import shutil
import subprocess
import time
from pathlib import Path

from client.server.config import ServerConfig

ROOT = Path(__file__).parents[2]
NETWORK_PATIENCE, PATIENCE = 600.0, 90.0
# Limits below those of most machines, whose users may not raise theirs.
RUN = ("--network", "host", "--ulimit", "nofile=1024:20000", "--ulimit", "nproc=1000:1000")


def shell(*command: str, patience: float = PATIENCE, check: bool = True) -> str:
    """Run a command; its output, or an assertion that shows it."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def podman(*arguments: str, check: bool = True) -> str:
    """Run podman with runc: crun refuses some machines."""
    return shell("podman", "--runtime", str(shutil.which("runc")), *arguments, check=check)


class Container:
    """A running container.

    Args:
        name: of the container.
        config: what its server runs with.
    """

    def __init__(self, name: str, config: ServerConfig) -> None:
        self.name, self.config = name, config

    @property
    def printed(self) -> str:
        done = subprocess.run(["podman", "logs", self.name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        state = json.loads(podman("inspect", "--format", "{{json .State}}", self.name))
        return None if state["Running"] else int(state["ExitCode"])

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.printed:
            assert time.monotonic() < deadline and self.status is None, self.printed
            time.sleep(0.2)

    def client(self, *arguments: str) -> str:
        """Run a client's command in the container."""
        return podman("exec", self.name, "python", "-m", "client", *arguments)

    @property
    def headers(self) -> dict[str, str]:
        """Of a request with a title. The state folder on this machine has the server's tokens."""
        tokens = self.config.tokens(self.config.folder / "state" / "key_file.json")
        return {**tokens.headers("inference"), "Content-Type": "text/plain"}

    def stop(self) -> int | None:
        podman("stop", "--time", "80", self.name)
        return self.status
