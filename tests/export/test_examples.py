"""The examples of other servers: each serves the package on loopback and answers as the package does."""

import http.client
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from test_standalone import close

from benchmarks.server.systems.process_usage import MARK, end, new_mark
from benchmarks.server.systems.torchserve_config import free_ports
from export.targets.python_package import write_package

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy" / "examples"
PYTHON = Path(os.environ.get("PEERS_PYTHON", ROOT / "build" / "bench" / "bin" / "python"))
PATIENCE = 120
# Example -> route, arguments, status of a refused product.
SERVERS: Mapping[str, tuple[str, tuple[str, ...], int]] = {
    "fastapi_app": ("/predict", (), 415),
    "litserve_app": ("/predict", (), 415),
    "mosec_app": ("/inference", ("--address", "127.0.0.1", "--port", "{port}"), 200),
    "ray_app": ("/predict", (), 415),
}
PRODUCT = {"text": "Red Shoe"}
BROKEN = {"text": "Bag", "image": "R0lGODlh"}


@pytest.fixture(scope="module")
def package(known_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that the examples import."""
    return write_package(known_archive, tmp_path_factory.mktemp("served") / "product_model")


@pytest.fixture(scope="module")
def model(package: Path) -> Iterator[Any]:
    """The package, loaded in this process."""
    before = set(sys.modules)
    sys.path.insert(0, str(package.parent))
    try:
        yield importlib.import_module(package.name).load()
    finally:
        sys.path.remove(str(package.parent))
        for name in set(sys.modules) - before:
            if name.split(".")[0] == package.name:
                del sys.modules[name]


def asked(port: int, route: str, content: bytes, kind: str = "application/json") -> tuple[int, Any]:
    """Status and JSON of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", route, content, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.long
@pytest.mark.skipif(not PYTHON.exists(), reason=f"{PYTHON} is not there: `make setup-peers`, or PEERS_PYTHON names it")
@pytest.mark.parametrize("name", SERVERS)
def test_an_example_answers_as_the_package(name: str, package: Path, model: Any, tmp_path: Path) -> None:
    route, arguments, refused = SERVERS[name]
    [port], mark, short = free_ports(1), new_mark(), tempfile.mkdtemp(prefix="r-")  # sockets need short paths
    environment = {
        **os.environ,
        MARK: mark,
        "PYTHONPATH": str(package.parent),
        "PRODUCT_PORT": str(port),
        "PRODUCT_WORKERS": "1",
        "PRODUCT_FOLDER": short,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [str(PYTHON), f"{name}.py", *(word.format(port=port) for word in arguments)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=EXAMPLES,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        wait_answering(port, route, process, tmp_path / "log")
        [expected] = model.predict([PRODUCT])
        status, answer = asked(port, route, json.dumps(PRODUCT).encode())
        assert status == 200 and close(answer, expected)
        status, error = asked(port, route, json.dumps(BROKEN).encode())
        assert (status, error["code"], error["type"]) == (refused, 415, "unsupported_image")
        status, both = asked(port, route, json.dumps({"instances": [BROKEN, PRODUCT]}).encode())
        assert status == 200 and both["predictions"][0] == error and close(both["predictions"][1], expected)
        if name != "litserve_app":  # it parses JSON itself, before us
            status, error = asked(port, route, b'{"text": ')
            assert error["type"] == "invalid_json"
    finally:
        process.send_signal(signal.SIGTERM)
        end(mark, process.pid)
        process.wait(60)
        shutil.rmtree(short)


def wait_answering(port: int, route: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait for the first answer; with what the server has said where it ends before."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and process.poll() is None:
        try:
            if asked(port, route, json.dumps(PRODUCT).encode())[0] == 200:
                return
        except (OSError, ValueError, http.client.HTTPException):
            pass
        time.sleep(0.3)
    raise AssertionError(log.read_text(errors="replace")[-3000:])


@pytest.mark.parametrize("name", SERVERS)
def test_an_example_is_short(name: str) -> None:
    lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").split('"""', 2)[2].splitlines()
    assert len([line for line in lines if line.strip() and '"""' not in line]) <= 40
