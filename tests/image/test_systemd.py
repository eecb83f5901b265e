"""The unit under a real systemd, the first process of a namespace with a Debian of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from callers import callers
from containers import NETWORK_PATIENCE, PATIENCE, ROOT, podman, shell

UNIT = ROOT / "deploy" / "product-classifier.service"
HOME, STATE = "opt/product-classifier", "var/lib/private/product-classifier"
BOOT = """
mount --bind {root} {root}
cd {root}
mount -t proc proc proc; mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp
mount --rbind /sys sys; mount --rbind /dev dev
mkdir -p outside
pivot_root . outside
cd /; umount --lazy outside
exec /lib/systemd/systemd --log-target=null --show-status=false
"""


class Machine:
    """A booted systemd.

    Args:
        root: its root folder.
        process: its process id.
    """

    def __init__(self, root: Path, process: int) -> None:
        self.root, self.process = root, process

    def inside(self, *command: str, check: bool = True) -> str:
        return shell(
            "nsenter", "--target", str(self.process), "--mount", "--pid", "--ipc", "--uts", *command, check=check
        )

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.inside("systemctl", "--no-pager", *arguments, check=check)

    def start(self) -> None:
        self.systemctl("start", "product-classifier", check=False)
        assert self.shown("ActiveState") == "active", self.inside("journalctl", "--no-pager", "--lines", "30")

    def shown(self, name: str) -> str:
        return self.systemctl("show", "product-classifier", "--property", name, "--value").strip()

    def wait_until(self, state: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.shown("ActiveState") != state:
            assert time.monotonic() < deadline, self.systemctl("status", "product-classifier", check=False)
            time.sleep(0.5)

    @property
    def front_end(self) -> int:
        [found] = shell("pgrep", "--full", "tmpdir=/var/lib/product-classifier").split()
        return int(found)

    def ask(self) -> str:
        """One request on a connection of its own: its status, or `refused`."""
        try:
            token = json.loads((self.root / STATE / "key_file.json").read_text())["inference"]["key"]
        except FileNotFoundError:  # a stop has removed it
            return "refused"
        connection = HTTPConnection("127.0.0.1", 8080, timeout=60)
        try:
            connection.connect()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
            connection.request("POST", "/predictions/known", b"red shoe", headers)
            return str(connection.getresponse().status)
        except ConnectionRefusedError:
            return "refused"
        finally:
            connection.close()


@pytest.fixture(scope="module")
def root(image: str, known_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian with systemd, and the project in ``/opt/product-classifier``."""
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o755)
    made = podman("create", image).strip()
    with subprocess.Popen(["podman", "export", made], stdout=subprocess.PIPE) as exported:
        subprocess.run(["tar", "-C", str(folder), "-x"], stdin=exported.stdout, check=True)
    podman("rm", made)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", folder / "etc")
    packages = "apt-get update -qq && apt-get install -qq --yes --no-install-recommends systemd systemd-sysv dbus"
    shell("chroot", str(folder), "sh", "-c", packages, patience=NETWORK_PATIENCE)
    (folder / "app").rename(folder / HOME)
    (folder / HOME / ".venv").symlink_to("/opt/venv")
    shutil.copy(known_archive, folder / HOME / "model_store" / "known.mar")
    (folder / HOME / "model_store" / "known.mar").chmod(0o644)
    config = folder / HOME / "config.properties"
    config.write_text(config.read_text().replace("load_models=intermediate.mar", "load_models=known.mar"))
    shutil.copy(UNIT, folder / "etc" / "systemd" / "system")
    return folder


@pytest.fixture(scope="module")
def machine(root: Path) -> Iterator[Machine]:
    namespaces = ("unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--kill-child")
    command = [*namespaces, "bash", "-ec", BOOT.format(root=root)]
    with subprocess.Popen(command, env={**os.environ, "container": "podman"}) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not (child := Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()):
                time.sleep(0.1)
            booted = Machine(root, int(child[0]))
            while "running" not in booted.systemctl("is-system-running", check=False):
                assert time.monotonic() < deadline
                time.sleep(0.5)
            yield booted
        finally:
            process.send_signal(signal.SIGKILL)


def test_the_unit_is_valid_and_hardened(root: Path) -> None:
    inside = ("chroot", str(root), "systemd-analyze")
    assert shell(*inside, "verify", "/etc/systemd/system/product-classifier.service") == ""
    rated = shell(*inside, "security", "--offline=true", "/etc/systemd/system/product-classifier.service")
    [exposure] = re.findall(r"Overall exposure level for product-classifier.service: ([0-9.]+)", rated)
    assert float(exposure) < 2


def test_a_start_returns_when_the_products_are_answered(machine: Machine) -> None:
    machine.start()
    assert machine.ask() == "200"
    assert Path(f"/proc/{machine.front_end}").stat().st_uid >= 61184  # a dynamic user's (systemd.exec(5))


def test_a_stop_under_load_loses_no_request(machine: Machine) -> None:
    machine.start()
    with callers(4, machine.ask) as outcomes:
        time.sleep(1)
        machine.systemctl("stop", "product-classifier")
    assert set(outcomes) == {"200", "refused"} and outcomes.count("200") > 50
    assert (machine.shown("Result"), machine.shown("ExecMainStatus")) == ("success", "0")


def test_a_front_end_that_is_killed_comes_back(machine: Machine) -> None:
    machine.start()
    before = machine.front_end
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while machine.shown("NRestarts") != "1" and time.monotonic() < deadline:
        time.sleep(0.2)
    machine.wait_until("active")
    assert machine.front_end != before and machine.ask() == "200"
    machine.systemctl("stop", "product-classifier")
