"""What is measured over HTTP: TorchServe with three handlers, and the peers; each can be started, asked and stopped."""

import contextlib
import dataclasses
import http.client
import os
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from benchmarks.server.envelopes import ENVELOPES, TENSOR_HEADERS
from benchmarks.server.payloads import Body
from benchmarks.server.peers import triton_python
from benchmarks.server.plan import BENTOML, FASTAPI, LITSERVE, MOSEC, RAY, TRITON
from benchmarks.server.processes import MARK, end, marked, new_mark
from benchmarks.server.server_config import ROOT, free_ports, write_config
from client import server
from client.errors import ClientError
from client.logs import last_lines
from client.management import Management
from client.processes import server_processes
from client.store import read_archive

START_TIMEOUT = 180.0
_PROBE = 0.05


class NotServing(RuntimeError):
    """A system cannot be measured; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A system that answers.

    Args:
        url: of its predictions.
        headers: with each request.
        envelope: of a body, of :data:`benchmarks.server.envelopes.ENVELOPES`.
        start_seconds: from its start to the first answer.
        processes: process id -> what it does, as of now.
        metrics_url: of its own counters.
    """

    url: str
    headers: dict[str, str]
    start_seconds: float
    processes: Callable[[], dict[int, str]]
    envelope: str = "plain"
    metrics_url: str | None = None


class System(Protocol):
    """Something that serves."""

    @property
    def name(self) -> str:
        """As reported."""

    def running(self, probe: Body) -> AbstractContextManager[Running]:
        """Start it, wait until it has answered a request, stop it in the end.

        Raises:
            NotServing: it does not come up.
        """


@dataclasses.dataclass(frozen=True)
class TorchServe:
    """TorchServe with our configuration and one archive.

    Args:
        name: of the system.
        archive: in a model store.
        golden: it is one of ours, loaded at the start of the server; others are registered once it runs.
    """

    name: str
    archive: Path
    golden: bool = False

    @contextlib.contextmanager
    def running(self, probe: Body) -> Iterator[Running]:
        """See :class:`System`."""
        model = read_archive(self.archive).model
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            config = write_config(
                Path(folder), store=self.archive.parent, load_models=self.archive.name if self.golden else ""
            )
            url = f"{config.inference_url}/predictions/{model}"
            with _first_answer(url, probe, lambda: config.tokens().headers("inference")) as answered:
                local = server.start(config, timeout=START_TIMEOUT, say=lambda _: None)
                try:
                    if not self.golden:
                        with Management(config.management_url, tokens=config.tokens()) as management:
                            management.register(self.archive.name)
                    seconds = answered()
                    yield Running(
                        url=url,
                        headers=config.tokens().headers("inference"),
                        start_seconds=seconds,
                        processes=lambda: _roles(local.temporary),
                        metrics_url=f"http://127.0.0.1:{config.ports[2]}/metrics",
                    )
                finally:
                    server.stop(config)


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another server, with the pipeline behind it, in an environment of its own.

    Args:
        name: of the system.
        module: under ``benchmarks.server.peers``.
        python: of the peers' environment.
        archive: to serve.
        cap: the most requests of a batch.
        workers: processes that compute.
        path: of its predictions.
        command: its arguments, ``{port}`` replaced.
        envelope: of a body, of :data:`benchmarks.server.envelopes.ENVELOPES`.
        headers: with each request.
        environment: variables that its process has besides.
    """

    name: str
    module: str
    python: Path
    archive: Path
    cap: int
    workers: int
    path: str = "/predict"
    command: tuple[str, ...] = ("-m", "benchmarks.server.peers.{module}")
    envelope: str = "plain"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def running(self, probe: Body) -> Iterator[Running]:
        """See :class:`System`."""
        [port] = free_ports(1)
        mark = new_mark()
        url = f"http://127.0.0.1:{port}{self.path}"
        enclosed = Body(probe.content_type, ENVELOPES[self.envelope](probe.content))
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, (Path(folder) / "log").open("wb") as log:
            arguments = [part.format(port=port, module=self.module) for part in self.command]
            with _first_answer(url, enclosed, lambda: dict(self.headers)) as answered:
                process = subprocess.Popen(
                    [str(self.python), *arguments],
                    cwd=ROOT,
                    env=self._environment(port, mark, Path(folder)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    seconds = answered(lambda: process.poll() is None)
                    yield Running(
                        url=url,
                        headers=dict(self.headers),
                        envelope=self.envelope,
                        start_seconds=seconds,
                        processes=lambda: dict.fromkeys(marked(mark), ""),
                    )
                except NotServing as error:
                    raise NotServing(f"{error}: {last_lines(Path(folder) / 'log', 3)}") from error
                finally:
                    end(mark, process.pid)
                    process.wait()

    def _environment(self, port: int, mark: str, folder: Path) -> dict[str, str]:
        return {
            **os.environ,
            MARK: mark,
            "PRODUCT_ARCHIVE": str(self.archive),
            "PRODUCT_PORT": str(port),
            "PRODUCT_CAP": str(self.cap),
            "PRODUCT_WORKERS": str(self.workers),
            "PRODUCT_FOLDER": str(folder),
            "PYTHONPATH": str(ROOT),
            "BENTOML_HOME": str(folder),
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
            **self.environment,
        }


def peers(python: Path, archive: Path, *, cap: int, workers: int) -> list[Peer]:
    """All peers.

    Args:
        python: of their environment; Triton's lies in a folder beside it.
        archive: to serve.
        cap: the most requests of a batch.
        workers: processes that compute in each.
    """
    own = ("-m", "benchmarks.server.peers.{module}")
    bento = ("-m", "bentoml", "serve", "benchmarks.server.peers.{module}:ProductService", "--host", "127.0.0.1")
    return [
        Peer(FASTAPI, "fastapi_app", python, archive, cap, workers),
        Peer(LITSERVE, "litserve_app", python, archive, cap, workers),
        Peer(
            MOSEC, "mosec_app", python, archive, cap, workers,
            path="/inference",
            # Of its own accord it gives up after 3 s, less than 64 requests take on a slow machine.
            command=(*own, "--address", "127.0.0.1", "--port", "{port}", "--timeout", "120000"),
        ),
        Peer(
            BENTOML, "bentoml_app", python, archive, cap, workers,
            command=(*bento, "--port", "{port}"), envelope="list",
        ),
        Peer(RAY, "ray_app", python, archive, cap, workers),
        Peer(
            TRITON, "triton_app", triton_python(python), archive, cap, workers,
            path="/v2/models/product/infer", envelope="tensor", headers=TENSOR_HEADERS,
            environment={
                "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
                # Its Python backend is linked to libpython, which need not lie where the loader looks.
                "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),
            },
        ),
    ]  # fmt: skip


def ask(url: str, body: Body, headers: dict[str, str], *, timeout: float = 60.0) -> tuple[int, bytes]:
    """One request over a connection of its own.

    Raises:
        OSError: nobody answers.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path, body.content, {"Content-Type": body.content_type, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


@contextlib.contextmanager
def _first_answer(url: str, body: Body, headers: Callable[[], dict[str, str]]) -> Iterator[Callable[..., float]]:
    """Asks again and again from now on; what it yields waits for the first answer and tells after how many seconds."""
    began, ended, found = time.monotonic(), threading.Event(), threading.Event()
    seconds: list[float] = []

    def probe() -> None:
        while not ended.wait(_PROBE):
            with contextlib.suppress(OSError, ClientError):  # it does not listen yet, or is writing its key file
                status, _ = ask(url, body, headers())
                if status == http.HTTPStatus.OK:
                    seconds.append(time.monotonic() - began)
                    found.set()
                    return

    def answered(alive: Callable[[], bool] = lambda: True) -> float:
        while not found.wait(_PROBE):
            if not alive():
                raise NotServing("it ended before it answered")
            if time.monotonic() - began > START_TIMEOUT:
                raise NotServing(f"no answer in {START_TIMEOUT:g} s")
        return seconds[0]

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    try:
        yield answered
    finally:
        ended.set()
        thread.join()


def _roles(temporary: Path) -> dict[int, str]:
    return {
        process: "front end" if is_front_end else "worker"
        for process, is_front_end in server_processes(temporary).items()
    }
