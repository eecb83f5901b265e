"""The engine on Ray: actors on one machine or on many, each with the model of an archive, answer chunks side by side.

An actor does what the engine without a server does, and writes the chunk's part itself: rows and answers stay off the
wire. So every machine has to see the catalogue, the archive and the folder of the results under the same paths.
"""

import contextlib
import importlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.api.errors import ClientError
from client.scoring.local import LocalEngine, archive_identity
from client.scoring.workspace import Workspace
from training.catalog import CatalogFiles

ROOT = Path(__file__).parents[2]
PACKAGES = ("client", "handlers", "training")
# What a task returns is a number; Ray's own default is a third of the memory.
STORE_BYTES = 100_000_000
MAX_BLOCKS = 10_000
# Ray reports its use to its makers, and its core writes warnings to the terminal, unless the environment forbids it.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


class RayEngine:
    """Actors that answer chunks.

    Args:
        archive: the ``.mar``.
        top_k: classes listed in an answer; None takes the model's default.
        actors: how many.
        cpus: cores of each; None shares those of this machine among them.
        address: of a running cluster, such as ``auto``; None starts Ray on this machine for as long as the run takes.

    Raises:
        ClientError: Ray is not installed, or the archive is broken.
    """

    def __init__(
        self,
        archive: Path,
        *,
        top_k: int | None = None,
        actors: int = 1,
        cpus: int | None = None,
        address: str | None = None,
    ) -> None:
        self._ray = _import_ray()
        self.identity = archive_identity(archive)
        self._archive, self._top_k = archive.absolute(), top_k
        self._actors, self._address = actors, address
        self._cpus = cpus or max(1, len(os.sched_getaffinity(0)) // actors)
        self.description = (
            f"{self.identity['model']} {self.identity['version']} (Ray, actors: {actors}, cores of each: {self._cpus})"
        )

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.Engine`."""
        if not chunks:
            return
        with self._cluster():
            numbers = [{"chunk": chunk} for chunk in chunks]
            data = self._ray.data
            scored = data.from_items(numbers, override_num_blocks=min(len(chunks), MAX_BLOCKS)).map_batches(
                ChunkScorer,
                fn_constructor_args=(self._archive, self._top_k, self._cpus, workspace, files),
                batch_size=1,
                num_cpus=self._cpus,
                compute=data.ActorPoolStrategy(size=self._actors),
            )
            try:
                for row in scored.iter_rows():
                    yield int(row["rows"])
            except self._ray.exceptions.RayError as error:
                raise ClientError(
                    f"an actor failed ({_last_line(error)}); what was answered is kept: the same command goes on"
                ) from error

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[None]:
        """Ray, started on this machine or joined, and as quiet as we are."""
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            cores = max(len(os.sched_getaffinity(0)), self._actors * self._cpus)
            options |= {"address": "local", "include_dashboard": False, "num_cpus": cores}
            options |= {"object_store_memory": STORE_BYTES}
        else:
            modules = [str(ROOT / name) for name in PACKAGES]
            options |= {"address": self._address, "runtime_env": {"py_modules": modules}}
        try:
            with _environment(QUIET):
                self._ray.init(**options)
        except Exception as error:  # Ray raises bare ones here
            raise ClientError(f"Ray cannot be started or joined: {_last_line(error)}") from error
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        self._ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield
        finally:
            self._ray.shutdown()


class ChunkScorer:
    """What an actor runs: the engine without a server, made once, for one chunk after the other.

    Args:
        archive, top_k, threads: of the :class:`LocalEngine`.
        workspace: holds the rows, and takes the parts.
        files: the pictures.
    """

    def __init__(
        self, archive: Path, top_k: int | None, threads: int, workspace: Workspace, files: CatalogFiles
    ) -> None:
        self._engine = LocalEngine(archive, top_k=top_k, threads=threads)
        self._workspace, self._files = workspace, files

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer some chunks.

        Args:
            batch: ``chunk``, (B,) int64.

        Returns:
            ``rows``, (B,) int64: how many rows each had.
        """
        chunks = [int(chunk) for chunk in batch["chunk"]]
        return {"rows": [sum(self._engine.score(self._workspace, self._files, [chunk])) for chunk in chunks]}


def _import_ray() -> Any:
    try:
        importlib.import_module("ray.data")
    except ImportError as error:
        raise ClientError("Ray is not installed; `pip install 'ray[data]'` installs it") from error
    return importlib.import_module("ray")


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Some variables set, and put back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
