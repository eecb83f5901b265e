"""A server of pictures on this machine that is slow, busy, lying or hostile, each by its path."""

import gzip
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


def picture(seed: int = 0, kind: str = "JPEG", size: int = 48) -> bytes:
    """A picture of noise, so that each seed has another content."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def large_picture() -> bytes:
    """A small file of 81 million pixels."""
    file = io.BytesIO()
    Image.new("L", (9000, 9000)).save(file, "PNG")
    return file.getvalue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "PictureServer"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.asked[path] += 1
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            with suppress(OSError):
                self._answer(path)
        finally:
            with self.server.lock:
                self.server.now -= 1

    def _answer(self, path: str) -> None:
        name = path.split("/")[1]
        number = self.server.asked[path]
        routes: Mapping[str, Callable[[], None]] = {
            "ok": lambda: self._send(picture(sum(path.encode()))),
            "png": lambda: self._send(picture(1, "PNG"), kind="image/jpeg"),
            "rested": lambda: (time.sleep(0.15), self._send(picture()))[1],
            "twice-busy": lambda: self._send(b"busy", 503) if number < 3 else self._send(picture()),
            "retry-after": lambda: self._send(b"", 429, {"Retry-After": "1"}) if number < 2 else self._send(picture()),
            "wait-an-hour": lambda: self._send(b"", 503, {"Retry-After": "3600"}),
            "broken": lambda: self._send(b"oh", 500),
            "forbidden": lambda: self._send(b"no", 403),
            "redirect": lambda: self._send(b"", 302, {"Location": "/ok/target.jpg"}),
            "hops": lambda: self._send(b"", 301, {"Location": f"/hops{path[5:]}x" if len(path) < 9 else "/ok/far.jpg"}),
            "loop": lambda: self._send(b"", 302, {"Location": path}),
            "to": lambda: self._send(b"", 307, {"Location": self.path.partition("?")[2]}),
            "nowhere": lambda: self._send(b"", 302),
            "html": lambda: self._send(b"<html>please log in</html>", kind="text/html"),
            "html-as-jpeg": lambda: self._send(b"<html>please log in</html>"),
            "jpeg-as-html": lambda: self._send(picture(2), kind="text/html"),
            "empty": lambda: self._send(b""),
            "nothing": lambda: self._send(b"", 204),
            "cut": lambda: self._send(picture()[:-300]),
            "promises-more": lambda: self._send(picture(), length=len(picture()) + 1000),
            "promises-less": lambda: self._send(picture(), length=len(picture()) - 400),
            "promises-terabytes": lambda: self._send(picture(), length=10**13),
            "length-is-no-number": lambda: self._send(picture(), headers={"Content-Length": "many"}, length=-1),
            "pixels": lambda: self._send(large_picture()),
            "gzip": lambda: self._send(gzip.compress(picture(3)), headers={"Content-Encoding": "gzip"}),
            "bomb": lambda: self._send(self.server.bomb, headers={"Content-Encoding": "gzip"}),
            "bad-gzip": lambda: self._send(b"\x1f\x8b\x08rubbish" * 9, headers={"Content-Encoding": "gzip"}),
            "brotli": lambda: self._send(picture(), headers={"Content-Encoding": "br"}),
            "endless": lambda: self._endless(b"\xff" * 65_536, 0.0),
            "drip": lambda: self._endless(b"\xff", 0.1),
            "drip-headers": self._drip_headers,
            "endless-headers": self._endless_headers,
            "hang": lambda: self.server.ended.wait(20) and None,
            "drop": self.connection.close,
            "rubbish": lambda: self.wfile.write(b"\x00\x01 rubbish \r\n\r\n") and None,
        }
        routes.get(name, lambda: self._send(b"gone", 404))()
        if name not in ("ok", "png", "redirect"):
            self.close_connection = True

    def _send(
        self,
        body: bytes,
        status: int = 200,
        headers: Mapping[str, str] = {},
        *,
        kind: str = "image/jpeg",
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Set-Cookie", "visitor=1; Path=/")
        if length != -1 and status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _endless(self, chunk: bytes, pause: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Connection", "close")
        self.end_headers()
        while not self.server.ended.is_set():
            self.wfile.write(chunk)
            time.sleep(pause)

    def _drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.server.ended.is_set():
            self.wfile.write(b"a")
            time.sleep(0.1)

    def _endless_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.ended.is_set():
            self.wfile.write(b"X-More: " + b"a" * 4096 + b"\r\n")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class PictureServer(ThreadingHTTPServer):
    """Counts what it is asked.

    Attributes:
        asked: requests by path.
        most: largest number of requests at once.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.now = self.most = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.bomb = gzip.compress(bytes(300 * 2**20), 9)
        super().__init__(("127.0.0.1", 0), _Handler)

    def address(self, path: str, host: str = "127.0.0.1") -> str:
        """The web address of a path."""
        return f"http://{host}:{self.server_port}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


@contextmanager
def serving() -> Iterator[PictureServer]:
    """A server on a free port of this machine."""
    with PictureServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join(timeout=10)
