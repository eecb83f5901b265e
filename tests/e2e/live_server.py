"""What tests of a live TorchServe share: its routes, archives that were changed, and what it listens on."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from handlers.product_serving.archive import SUMS, format_sums

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
