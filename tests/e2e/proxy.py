"""Our nginx configuration, live, in front of a test's own server."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server.systems.torchserve_config import ROOT, free_ports
from client.server.config import ServerConfig

NGINX, OPENSSL = shutil.which("nginx") or shutil.which("/usr/sbin/nginx"), shutil.which("openssl")
PATIENCE = 60.0


@dataclass(frozen=True)
class Proxy:
    """A running nginx.

    Args:
        url: its address.
        certificate: that a client has to trust.
        folder: with its logs.
    """

    url: str
    certificate: Path
    folder: Path


@contextmanager
def running_proxy(
    folder: Path, config: ServerConfig, *, through: Sequence[str] = (), **changes: str
) -> Iterator[Proxy]:
    """Start it, with our configuration but for addresses, files and ``changes`` (directive -> its new value).

    Args:
        through: a command that starts nginx, given behind it.
    """
    assert NGINX is not None
    [port] = free_ports(1)
    certificate = make_certificate(folder)
    (folder / "nginx.conf").write_text(adapted(folder, config, port, certificate, changes), encoding="utf-8")
    options = f"daemon off;{' user root;' if os.geteuid() == 0 else ''}"
    command = [
        *through,
        NGINX,
        "-e",
        str(folder / "error.log"),
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        options,
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait(process, port)
        yield Proxy(f"https://127.0.0.1:{port}", certificate, folder)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def adapted(folder: Path, config: ServerConfig, port: int, certificate: Path, changes: dict[str, str]) -> str:
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    upstream = config.inference_url.removeprefix("http://")
    temporary = "".join(
        f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    replacements = {
        r"^user www-data;\n": "",
        r"/run/nginx\.pid": str(folder / "nginx.pid"),
        r"/var/log/nginx/": f"{folder}/",
        r"127\.0\.0\.1:8080": upstream,
        r"listen 443 ": f"listen 127.0.0.1:{port} ",
        r"/etc/ssl/certs/products\.pem": str(certificate),
        r"/etc/ssl/private/products\.key": str(certificate.with_suffix(".key")),
        r"http \{\n": f"http {{\n{temporary}",
        **{rf"{re.escape(name)} [^;]*;": f"{name} {value};" for name, value in changes.items()},
    }
    for pattern, replacement in replacements.items():
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count, f"deploy/nginx.conf has no {pattern}"
    return text


def make_certificate(folder: Path) -> Path:
    assert OPENSSL is not None
    certificate = folder / "certificate.pem"
    command = [
        OPENSSL,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=products", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(certificate), "-keyout", str(certificate.with_suffix(".key"))]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return certificate


def wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")
