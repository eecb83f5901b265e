"""Which answers of a load count, and the generator itself."""

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.server.load.bodies import Body, write_bodies
from benchmarks.server.load.task import GOOD, LOST, REFUSED, LoadResult, Task
from benchmarks.server.systems.torchserve_config import ROOT

BODIES = [Body("application/json", b'{"text": "one"}'), Body("application/json", b'{"text": "two"}')]
CLOSED = Task(url="", bodies="", connections=4, warm=1, seconds=2)
OPEN = Task(url="", bodies="", rate=10, warm=1, seconds=2)


def test_a_closed_loop_counts_what_comes_in_its_window() -> None:
    load = LoadResult(seconds=2)
    for due, now in ((0.0, 0.5), (0.9, 1.0), (1.5, 2.9), (2.9, 3.0)):
        load.count(CLOSED, GOOD, due=due, now=now)
    assert (load.statuses, load.answers, load.rate) == ({"200": 2}, 4, 1.0)


def test_an_open_loop_counts_what_was_due_in_its_window_however_late_it_came() -> None:
    load = LoadResult(seconds=2)
    for due, now in ((0.9, 1.2), (1.0, 1.1), (2.9, 9.9), (3.0, 3.1)):
        load.count(OPEN, GOOD, due=due, now=now)
    assert load.latencies == pytest.approx([0.1, 7.0])


def test_refusals_and_losses_are_no_good_answers() -> None:
    load = LoadResult(seconds=2)
    for status in (GOOD, REFUSED, LOST, REFUSED):
        load.count(OPEN, status, due=1.5, now=1.75)
    assert load.statuses == {"200": 1, "503": 2, "0": 1}
    assert (load.latencies, load.refused, load.rate) == ([0.25], [0.25, 0.25], 0.5)


class _Server(BaseHTTPRequestHandler):
    """Answers 503 to one of the two bodies when asked at ``/half``."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503 if self.path == "/half" and b"two" in body else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def generate(task: Task) -> LoadResult:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.server.load.generator"],
        cwd=ROOT,
        input=json.dumps(dataclasses.asdict(task)),
        capture_output=True,
        text=True,
        check=True,
    )
    return LoadResult(**json.loads(result.stdout))


def test_the_generator_sends_what_it_is_told(url: str, tmp_path: Path) -> None:
    bodies = str(write_bodies(BODIES, tmp_path / "bodies"))
    lone = generate(Task(url=url, bodies=bodies, connections=1, requests=6))
    assert lone.statuses == {"200": 6} and len(lone.latencies) == 6
    half = generate(Task(url=f"{url}/half", bodies=bodies, rate=40, seconds=1, seed=3))
    assert sum(half.statuses.values()) == len(half.arrivals)
    assert half.statuses["503"] == len(half.arrivals) // 2
    closed = generate(Task(url="http://127.0.0.1:9", bodies=bodies, connections=1, requests=2))
    assert closed.statuses == {"0": 2}
