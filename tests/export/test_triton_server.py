"""The real Triton: the server of the nvidia-pytriton wheel serves the repository, and its own client asks it.

``make setup-triton`` installs it. Its Python backend runs the first Python on PATH, so that one has to see the packages
of the model and NumPy 1.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hostile import ACCEPTED, HOSTILE
from known_model import BLUE, RED, picture
from serving import Request, Worker, document, form
from test_standalone import close

from benchmarks.server.systems.torchserve_config import free_ports
from export.targets.bundle import seal

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("TRITON_ENVIRONMENT", ROOT / "build" / "triton"))
PACKAGES = ENVIRONMENT / "lib" / "python3.11" / "site-packages"
SERVER = PACKAGES / "pytriton" / "tritonserver"
ASKS = Path(__file__).with_name("triton_asks.py")
PATIENCE = 120
Columns = dict[str, list[bytes]]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (SERVER / "bin" / "tritonserver").is_file(),
        reason="no tritonserver: `make setup-triton`, or TRITON_ENVIRONMENT names an environment with nvidia-pytriton",
    ),
]


class Triton(NamedTuple):
    """A running server.

    Args:
        address: of HTTP, host and port.
        repository: its model repository.
        log: what it has said.
    """

    address: str
    repository: Path
    log: Path

    def ask(self, *requests: Columns, version: str = "") -> list[Any]:
        """Send requests at the same time."""
        line = [
            {
                "model": "known",
                "version": version,
                "tensors": {
                    name: [base64.b64encode(value).decode() for value in column] for name, column in each.items()
                },
            }
            for each in requests
        ]
        command = [str(ENVIRONMENT / "bin" / "python"), str(ASKS), self.address]
        given = json.dumps(line)
        result = subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert result.returncode == 0, result.stderr
        found: list[Any] = json.loads(result.stdout)
        return found

    def post(self, path: str, body: str = "{}") -> tuple[int, str]:
        """Status and text of a request to its HTTP address."""
        request = urllib.request.Request(f"http://{self.address}{path}", body.encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def python_of_triton(folder: Path) -> Path:
    """An environment whose Python sees Triton's NumPy 1 first, then the packages that the model needs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    own = folder / "lib" / "python3.11" / "site-packages"
    (own / "packages.pth").write_text(f"{PACKAGES}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return folder


def backends(folder: Path) -> Path:
    """Triton's Python backend with the stub for this Python; the wheel keeps stubs of all versions elsewhere."""
    shutil.copytree(SERVER / "backends" / "python", folder / "python")
    shutil.copy(SERVER / "python_backend_stubs" / "3.11" / "triton_python_backend_stub", folder / "python")
    return folder


def command(repository: Path, folder: Path, ports: Sequence[int]) -> list[str]:
    """How the server is started."""
    options = {
        "model-repository": repository,
        "backend-directory": backends(folder / "backends"),
        "model-control-mode": "explicit",
        "load-model": "*",
        "http-address": "127.0.0.1",
        "http-port": ports[0],
        "grpc-address": "127.0.0.1",
        "grpc-port": ports[1],
        "allow-metrics": "false",
    }
    return [str(SERVER / "bin" / "tritonserver"), *(f"--{name}={value}" for name, value in options.items())]


@pytest.fixture(scope="module")
def server(triton_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    folder = tmp_path_factory.mktemp("tritonserver")
    repository = Path(shutil.copytree(triton_repository, folder / "repository"))
    ports = free_ports(2)
    libraries = [PACKAGES / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
    environment = {
        **os.environ,
        "PATH": f"{python_of_triton(folder / 'python') / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
    }
    triton = Triton(f"127.0.0.1:{ports[0]}", repository, folder / "log")
    with triton.log.open("wb") as log:
        process = subprocess.Popen(
            command(repository, folder, ports), env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        wait_ready(triton, process)
        yield triton
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_ready(triton: Triton, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the model is ready; with the server's log where it ends before."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{triton.address}/v2/models/known/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(triton.log.read_text(errors="replace")[-5000:])


@pytest.fixture(scope="module")
def worker(known_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    """The same archive in a worker of TorchServe."""
    folder = tmp_path_factory.mktemp("worker")
    with zipfile.ZipFile(known_archive) as archive:
        archive.extractall(folder)
    return Worker(folder, model_name="known")


def columns(request: Request) -> Columns | None:
    """The tensors of a form or of a JSON document of one product; None for what has no tensors."""
    headers, parameters = request
    kind = headers.get("Content-Type", "")
    if kind.startswith("multipart"):
        fields = {name: value for name, value, _ in parameters}
        others = {
            name: value.decode("utf-8", "replace") for name, value in fields.items() if name not in ("image", "text")
        }
        shown = {name: [value] for name, value in fields.items() if name in ("image", "text")}
        return {**shown, **({"options": [json.dumps(others).encode()]} if others or not shown else {})}
    if kind == "application/json" and parameters[0][1].strip() and b'"instances"' not in parameters[0][1][:40]:
        return {"options": [parameters[0][1]]}
    return None


def test_every_request_is_answered_as_in_torchserve(server: Triton, worker: Worker) -> None:
    """Hostile and unusual requests alike: status, type of the error, and all of the answer but for 1e-6."""
    every = {name: build() for name, build in {**{k: v[0] for k, v in HOSTILE.items()}, **ACCEPTED}.items()}
    every |= {
        f"golden {n}": form(image=picture(c), text=t) for n, (c, t) in enumerate([(RED, "Red Shoe"), (BLUE, "Bag")])
    }
    asked = {name: sent for name, request in every.items() if (sent := columns(request)) is not None}
    assert len(asked) > 100
    wrong = []
    for start in range(0, len(asked), 16):
        names = list(asked)[start : start + 16]
        for name, reply in zip(names, server.ask(*(asked[each] for each in names)), strict=True):
            [expected] = worker.ask(every[name])
            answer = json.loads(reply["answer"][0])
            same = answer["type"] == expected.json["type"] if expected.status != 200 else close(answer, expected.json)
            if reply["status"] != [expected.status] or not same:
                wrong.append((name, answer, expected.json))
    assert not wrong


def test_one_bad_product_fails_alone(server: Triton, worker: Worker) -> None:
    """Among 40 requests at the same time, and inside one request."""
    good, bad = {"image": [picture(RED)], "text": [b"Red Shoe"]}, {"image": [b"GIF89a"], "text": [b"Bag"]}
    replies = server.ask(*[good, bad] * 20)
    [expected] = worker.ask(form(image=picture(RED), text="Red Shoe"))
    assert [reply["status"] for reply in replies] == [[200], [415]] * 20
    assert all(close(json.loads(reply["answer"][0]), expected.json) for reply in replies[::2])
    [many] = server.ask({"text": [b"Red Shoe", b"\xff", b"Bag"], "options": [b"", b"", b'{"top_k": 0}']})
    assert many["status"] == [200, 400, 400] and many["label"] == ["Shoes", "", ""]
    assert many["score"][0] == pytest.approx(json.loads(many["answer"][0])["score"], abs=1e-6)


def test_plain_json_without_a_client(server: Triton, worker: Worker) -> None:
    """As curl sends it: a picture goes in the options, in base64."""
    product = {"image": base64.b64encode(picture(BLUE)).decode(), "text": "Bag", "top_k": 1}
    tensor = {"name": "options", "datatype": "BYTES", "shape": [1, 1], "data": [json.dumps(product)]}
    status, text = server.post("/v2/models/known/infer", json.dumps({"inputs": [tensor]}))
    outputs = {output["name"]: output["data"] for output in json.loads(text)["outputs"]}
    [expected] = worker.ask(document(product))
    assert status == 200 and close(json.loads(outputs["answer"][0]), expected.json)
    assert server.post("/v2/models/known/infer", '{"inputs": []}')[0] == 400


def test_a_version_with_other_answers_does_not_load_and_the_old_one_stays(server: Triton) -> None:
    """Its files match their checksums; only the golden products can tell. Mended, it takes over."""
    good = server.repository / "known" / "1"
    broken = Path(
        shutil.copytree(good, server.repository / "known" / "2", ignore=shutil.ignore_patterns("__pycache__"))
    )
    settings = (broken / "settings.json").read_text()
    (broken / "settings.json").write_text(settings.replace('"temperature": 1.6', '"temperature": 1.7'))
    seal(broken)
    status, text = server.post("/v2/repository/models/known/load")
    assert status == 400 and "golden product" in text + server.log.read_text(errors="replace")
    [reply] = server.ask({"text": [b"Red Shoe"]})
    assert (reply["version"], reply["label"]) == ("1", ["Shoes"])
    (broken / "settings.json").write_text(settings)
    seal(broken)
    assert server.post("/v2/repository/models/known/load")[0] == 200
    [reply] = server.ask({"text": [b"Red Shoe"]})
    assert (reply["version"], reply["label"]) == ("2", ["Shoes"])
