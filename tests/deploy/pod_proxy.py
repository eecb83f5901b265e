"""The pod's nginx, live, in front of a small server that says what reached it."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from manifests import BASE

from benchmarks.server.systems.torchserve_config import free_ports

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
PATIENCE = 30.0
TOKEN, OTHER = "3f" * 32, "a0" * 32
TOKENS = f'"Bearer {TOKEN}" shop;\n"Bearer {OTHER}" batch;\n'
METRICS = "ts_queue_latency_microseconds 7\n"


class Echo(BaseHTTPRequestHandler):
    """Answers with what it got, after a second if the model is ``slow``; on ``/metrics`` with metrics."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/slow"):
            time.sleep(1.0)
        names = {name.lower() for name in self.headers}
        self._answer(json.dumps({"path": self.path, "headers": sorted(names), "body": body.decode("latin-1")}))

    do_PUT = do_POST

    def do_GET(self) -> None:
        self._answer(METRICS if self.path.startswith("/metrics") else "{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode("latin-1"))


class Upstream(ThreadingHTTPServer):
    """Takes many connections at once, as TorchServe does."""

    request_queue_size = 256


@dataclass(frozen=True)
class PodProxy:
    """A running nginx.

    Args:
        url: address for callers.
        metrics: address for Prometheus.
        folder: with its logs and its process id.
        process: nginx.
    """

    url: str
    metrics: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    def client(self, token: str | None = TOKEN) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=PATIENCE)


def configured(
    folder: Path, *, tokens: str | None = TOKENS, at_once: int = 200, behind: Sequence[int] = (), **changes: str
) -> tuple[Path, list[int]]:
    """Write the pod's configuration with other paths, free ports, and ``changes`` (directive -> its new value).

    Args:
        folder: for everything that nginx reads and writes.
        tokens: the Secret's file; None leaves it out.
        at_once: requests that TorchServe gets at once.
        behind: TorchServe's ports of inference and metrics; free ones if none are given.
        changes: directives that replace others.

    Returns:
        The file, and its ports: for callers, of metrics, and the two behind.
    """
    ports = [*free_ports(2), *(behind or free_ports(2))]
    text = (BASE / "nginx.conf").read_text(encoding="utf-8")
    numbers = zip(("listen 8000", "listen 9102", "127.0.0.1:8080", "127.0.0.1:8082"), ports, strict=True)
    replacements = {
        **{place: re.sub(r"(127\.0\.0\.1:|listen )\d+", rf"\g<1>{number}", place) for place, number in numbers},
        "/tmp/": f"{folder}/",
        "/dev/stderr": str(folder / "error.log"),
        "/dev/stdout": str(folder / "access.log"),
        "/etc/nginx/tokens/": f"{folder}/",
        "max_conns=200": f"max_conns={at_once}",
    }
    for old, new in replacements.items():
        assert old in text, f"the pod's nginx.conf has no {old}"
        text = text.replace(old, new.replace("listen ", "listen 127.0.0.1:"))
    for name, value in changes.items():
        text, count = re.subn(rf"{re.escape(name)} [^;]*;", f"{name} {value};", text)
        assert count, f"the pod's nginx.conf has no {name}"
    if tokens is not None:
        (folder / "tokens.conf").write_text(tokens, encoding="utf-8")
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    return folder / "nginx.conf", ports


def command(file: Path, *options: str) -> list[str]:
    """Of nginx with a configuration."""
    assert NGINX is not None
    common = f"daemon off;{' user root;' if os.geteuid() == 0 else ''}"
    return [
        NGINX,
        "-e",
        str(file.with_name("error.log")),
        "-p",
        str(file.parent),
        "-c",
        str(file),
        "-g",
        common,
        *options,
    ]


@contextmanager
def running_pod_proxy(
    folder: Path,
    *,
    upstream: bool = True,
    tokens: str = TOKENS,
    at_once: int = 200,
    behind: Sequence[int] = (),
    **changes: str,
) -> Iterator[PodProxy]:
    """Start nginx and, unless a server runs already, what stands for TorchServe behind it.

    Args:
        folder, tokens, at_once, behind, changes: as for :func:`configured`.
        upstream: something listens behind it.
    """
    file, [callers, metrics, *ports] = configured(folder, tokens=tokens, at_once=at_once, behind=behind, **changes)
    servers = [Upstream(("127.0.0.1", port), Echo) for port in ports if upstream and not behind]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    process = subprocess.Popen(command(file), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(f"http://127.0.0.1:{callers}", process)
        yield PodProxy(f"http://127.0.0.1:{callers}", f"http://127.0.0.1:{metrics}", folder, process)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
        for server in servers:
            server.shutdown()
            server.server_close()


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        try:
            httpx.get(url, trust_env=False)
            return
        except httpx.ConnectError:
            time.sleep(0.05)
    raise AssertionError("nginx does not listen")
