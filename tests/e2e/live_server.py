"""A TorchServe of the test's own: our configuration with free ports, in a folder of its own."""

import hashlib
import json
import re
import socket
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from client.config import ServerConfig, read_config
from handlers.product_archive import SUMS, format_sums

ROOT = Path(__file__).parents[2]
LISTEN = "0A"
SERVER_MANIFEST = "MAR-INF/MANIFEST.json"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}

# API, method and path of every route.
ROUTES = [
    ("inference", "GET", "/ping"),
    ("inference", "POST", "/predictions/intermediate"),
    ("inference", "POST", "/predictions/intermediate/1.0"),
    ("inference", "POST", "/explanations/intermediate"),
    ("inference", "POST", "/invocations"),
    ("inference", "POST", "/v1/models/intermediate:predict"),
    ("inference", "OPTIONS", "/predictions/intermediate"),
    ("management", "GET", "/models"),
    ("management", "POST", "/models?url=late.mar"),
    ("management", "GET", "/models/intermediate"),
    ("management", "PUT", "/models/intermediate?min_worker=0"),
    ("management", "PUT", "/models/intermediate/1.0/set-default"),
    ("management", "DELETE", "/models/intermediate/1.0"),
    ("management", "GET", "/token?type=management"),
]


def write_config(folder: Path, *, store: Path, load_models: str = "intermediate.mar") -> ServerConfig:
    """Our ``config.properties`` in another folder, with other ports, another store and other archives."""
    ports = free_ports(5)
    values = {
        "inference_address": f"http://127.0.0.1:{ports[0]}",
        "management_address": f"http://127.0.0.1:{ports[1]}",
        "metrics_address": f"http://127.0.0.1:{ports[2]}",
        "model_store": str(store),
        "load_models": load_models,
    }
    text = (ROOT / "config.properties").read_text(encoding="utf-8")
    for name, value in values.items():
        text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert count == 1, f"config.properties does not set {name}"
    for name in ("log4j2.xml", "metrics.yaml"):
        text = text.replace(f"=deploy/{name}", f"={ROOT / 'deploy' / name}")
    path = folder / "config.properties"
    path.write_text(f"{text}grpc_inference_port={ports[3]}\ngrpc_management_port={ports[4]}\n", encoding="utf-8")
    return read_config(path)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def repack(
    source: Path, target: Path, *, version: str, changes: Mapping[str, bytes] | None = None, sealed: bool = False
) -> Path:
    """An archive again, as another version, with some of its files replaced: behind its checksums' back, or sealed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        manifest = json.loads(old.read(SERVER_MANIFEST))
        manifest["model"]["modelVersion"] = version
        content = {name: old.read(name) for name in old.namelist()} | {SERVER_MANIFEST: json.dumps(manifest).encode()}
        changed = {**content, **(changes or {})}
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in (changed if sealed else content).items()}
        sums.pop(SUMS)
        for name, data in {**changed, SUMS: format_sums(sums).encode()}.items():
            new.writestr(name, data)
    return target


def listening(processes: set[int]) -> set[tuple[str, int]]:
    """Local addresses, in the kernel's hexadecimal, and ports that some processes listen on."""
    sockets = set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            sockets.add(str(entry.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found
