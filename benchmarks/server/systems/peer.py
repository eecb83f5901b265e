"""Other servers as systems to measure: each is a separate process that runs the archive's handler."""

import contextlib
import dataclasses
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.server.load.bodies import BODY_FORMATS, TENSOR_HEADERS, Body
from benchmarks.server.systems.names import BENTOML, FASTAPI, LITSERVE, MOSEC, RAY, TRITON
from benchmarks.server.systems.process_usage import MARK, end, marked, new_mark
from benchmarks.server.systems.system import NotServing, Running, first_answer
from benchmarks.server.systems.torchserve_config import ROOT, free_ports
from client.server.logs import last_lines
from export.targets.bundle import TargetError
from export.targets.python_package import write_package

EXAMPLE = "deploy/examples/{module}.py"
PACKAGE = "product_model"  # as the examples import it


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another server that runs the archive's handler.

    Args:
        name: name of the system.
        module: an example in ``deploy/examples``, or a module in ``benchmarks.server.peers``.
        python: Python of its environment.
        archive: archive to serve.
        cap: most requests of a batch.
        workers: number of worker processes.
        path: path of its predictions.
        command: arguments of Python, with ``{port}`` and ``{module}`` as placeholders.
        body_format: a key of :data:`benchmarks.server.load.bodies.BODY_FORMATS`.
        headers: headers of each request.
        environment: further environment variables of its process.
    """

    name: str
    module: str
    python: Path
    archive: Path
    cap: int
    workers: int
    path: str = "/predict"
    command: tuple[str, ...] = (EXAMPLE,)
    body_format: str = "plain"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def running(self, probe: Body) -> Iterator[Running]:
        """See :meth:`benchmarks.server.systems.torchserve.TorchServe.running`."""
        port, second_port = free_ports(2)
        mark = new_mark()
        url = f"http://127.0.0.1:{port}{self.path}"
        enclosed = Body(probe.content_type, BODY_FORMATS[self.body_format](probe.content))
        environment = {
            MARK: mark,
            "PRODUCT_ARCHIVE": str(self.archive),
            "PRODUCT_PORT": str(port),
            "PRODUCT_SECOND_PORT": str(second_port),
            "PRODUCT_BATCH": str(self.cap),
            "PRODUCT_WORKERS": str(self.workers),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(packaged(self.archive).parent)]),
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, (Path(folder) / "log").open("wb") as log:
            environment |= {"PRODUCT_FOLDER": folder, "BENTOML_HOME": folder, **self.environment}
            arguments = [part.format(port=port, module=self.module) for part in self.command]
            with first_answer(url, enclosed, lambda: dict(self.headers)) as answered:
                process = subprocess.Popen(
                    [str(self.python), *arguments],
                    cwd=ROOT,
                    env={**os.environ, **environment},
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
                        body_format=self.body_format,
                        start_seconds=seconds,
                        processes=lambda: dict.fromkeys(marked(mark), ""),
                    )
                except NotServing as error:
                    raise NotServing(f"{error}: {last_lines(Path(folder) / 'log', 3)}") from error
                finally:
                    end(mark, process.pid)
                    process.wait()


def peers(python: Path, archive: Path, *, cap: int, workers: int) -> list[Peer]:
    """Return all peers.

    Args:
        python: Python of their environment; Triton's environment lies in a folder beside it.
        archive: archive to serve.
        cap: most requests of a batch.
        workers: number of worker processes of each peer.
    """
    bento = ("-m", "bentoml", "serve", "benchmarks.server.peers.{module}:ProductService", "--host", "127.0.0.1")
    return [
        Peer(FASTAPI, "fastapi_app", python, archive, cap, workers),
        Peer(LITSERVE, "litserve_app", python, archive, cap, workers),
        Peer(
            MOSEC, "mosec_app", python, archive, cap, workers,
            path="/inference",
            # Its default timeout is 3 s. On a slow machine 64 requests take longer.
            command=(EXAMPLE, "--address", "127.0.0.1", "--port", "{port}", "--timeout", "120000"),
        ),
        Peer(
            BENTOML, "bentoml_app", python, archive, cap, workers,
            command=(*bento, "--port", "{port}"), body_format="list",
        ),
        Peer(RAY, "ray_app", python, archive, cap, workers),
        Peer(
            TRITON, "triton_app", triton_python(python), archive, cap, workers,
            path="/v2/models/product/infer", body_format="tensor", headers=TENSOR_HEADERS,
            command=("-m", "benchmarks.server.peers.{module}"),
            environment={
                "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
                # Its Python backend is linked to libpython, which the loader may not find by itself.
                "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),
            },
        ),
    ]  # fmt: skip


def packaged(archive: Path) -> Path:
    """Return the archive as a Python package, which is written beside it the first time.

    Raises:
        NotServing: it cannot be written.
    """
    package = archive.parent / f"{archive.stem}-package" / PACKAGE
    if not package.exists():
        try:
            write_package(archive, package)
        except TargetError as error:
            raise NotServing(str(error)) from error
    return package


def triton_python(python: Path) -> Path:
    """Return the Python of Triton's environment, which lies beside that of the other peers.

    Args:
        python: Python of the other peers' environment.
    """
    return python.parents[2] / "triton" / "bin" / "python"
