"""The Ray engine: actors on one or many machines, each with a copy of the archive's model, answer chunks in parallel.

An actor runs the local engine and writes the chunk's part itself, so no rows or answers go through Ray. Every machine
needs the catalogue, the archive and the output folder under the same paths.
"""

import contextlib
import importlib
import logging
import math
import os
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.api.errors import ClientError
from client.scoring.local import LocalEngine, archive_identity
from client.scoring.several_pictures import FIRST
from client.scoring.workspace import Workspace
from handlers.product_serving.resources import usable_cores
from training.catalog import CatalogFiles

ROOT = Path(__file__).parents[2]
PACKAGES = ("client", "handlers", "training")
# Enough, since tasks return only numbers; Ray's default is a third of the memory.
STORE_BYTES = 100_000_000
MAX_BLOCKS = 10_000
# Of one actor: the interpreter with its libraries, then the weights, which an engine keeps in its own form too.
BASE_BYTES, ARCHIVES_IN_MEMORY = 256 * 2**20, 3
RESTARTS = 5  # of an actor whose process was killed; without a limit one that is killed each time restarts for ever
CONNECT_SECONDS = 5.0
# By default Ray sends usage reports, and its core prints warnings to the terminal.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# Bytes. A socket's path has 107 at most, and Ray's are some 66 longer than the folder for temporary files.
LONGEST_TEMPORARY = 40


class RayEngine:
    """Ray actors that answer chunks.

    Args:
        archive: path of the ``.mar`` file.
        top_k: number of classes to list; None takes the model's default.
        actors: number of actors.
        cpus: cores for each actor; None divides this machine's cores among them.
        address: address of a Ray cluster, such as ``auto``; None starts Ray on this machine for this run.
        pictures: ``first`` or ``mean``, what a product with several pictures is answered by.

    Raises:
        ClientError: Ray is not installed, or the archive is damaged.
    """

    def __init__(
        self,
        archive: Path,
        *,
        top_k: int | None = None,
        actors: int = 1,
        cpus: int | None = None,
        address: str | None = None,
        pictures: str = FIRST,
    ) -> None:
        self._ray = _import_ray()
        self.identity = archive_identity(archive)
        self._archive, self._top_k, self._pictures = archive.absolute(), top_k, pictures
        self._actors, self._address = actors, address
        self._cpus = cpus or max(1, usable_cores() // actors)
        self._bytes = BASE_BYTES + ARCHIVES_IN_MEMORY * archive.stat().st_size
        self.description = (
            f"{self.identity['model']} {self.identity['version']} (Ray, actors: {actors}, cores each: {self._cpus})"
        )

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.ScoringEngine`."""
        if not chunks:
            return
        with self._cluster():
            numbers = [{"chunk": chunk} for chunk in chunks]
            data = self._ray.data
            with warnings.catch_warnings():  # Ray has no other way to limit restarts yet
                warnings.simplefilter("ignore", DeprecationWarning)
                scored = data.from_items(numbers, override_num_blocks=min(len(chunks), MAX_BLOCKS)).map_batches(
                    ChunkScorer,
                    fn_constructor_args=(self._archive, self._top_k, self._cpus, workspace, files),
                    fn_constructor_kwargs={"pictures": self._pictures},
                    batch_size=1,
                    num_cpus=self._cpus,
                    memory=self._bytes,
                    max_restarts=RESTARTS,
                    compute=data.ActorPoolStrategy(size=self._actors),
                )
            try:
                for row in scored.iter_rows():
                    yield int(row["rows"])
            except self._ray.exceptions.RayError as error:
                raise ClientError(
                    f"an actor failed ({_last_line(error)}); answers so far are kept: run the same command to continue"
                ) from error

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[None]:
        """Start Ray on this machine or join a cluster, without its own output."""
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            refuse_too_large([{"CPU": usable_cores()}], cpus=self._cpus, memory=0)
            cores = max(usable_cores(), self._actors * self._cpus)
            options |= {"address": "local", "include_dashboard": False, "num_cpus": cores}
            options |= {"object_store_memory": STORE_BYTES}
        else:
            modules = [str(ROOT / name) for name in PACKAGES]
            options |= {"address": self._address, "runtime_env": {"py_modules": modules}}
        with contextlib.ExitStack() as stack:
            try:
                if self._address is not None:
                    _require_answer(self._address)
                elif len(os.fsencode(tempfile.gettempdir())) > LONGEST_TEMPORARY:
                    options["_temp_dir"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp"))
                with _environment(QUIET):
                    self._ray.init(**options)
            except Exception as error:  # Ray raises plain exceptions here, some over many lines
                raise ClientError(f"Ray cannot be started or joined: {' '.join(str(error).split())}") from error
            stack.callback(self._ray.shutdown)
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            self._ray.data.DataContext.get_current().enable_progress_bars = False
            machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            refuse_too_large(machines, cpus=self._cpus, memory=self._bytes)
            refuse_too_many(machines, actors=self._actors, cpus=self._cpus, memory=self._bytes)
            yield


class ChunkScorer:
    """The code of an actor: it loads the local engine once and answers chunk after chunk.

    Args:
        archive, top_k, threads, pictures: see :class:`client.scoring.local.LocalEngine`.
        workspace: contains the rows and gets the parts.
        files: the pictures.
    """

    def __init__(
        self,
        archive: Path,
        top_k: int | None,
        threads: int,
        workspace: Workspace,
        files: CatalogFiles,
        *,
        pictures: str = FIRST,
    ) -> None:
        self._engine = LocalEngine(archive, top_k=top_k, threads=threads, pictures=pictures)
        self._workspace, self._files = workspace, files

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer some chunks.

        Args:
            batch: ``chunk``, (B,) int64: numbers of the chunks.

        Returns:
            ``rows``, (B,) int64: number of rows in each chunk.
        """
        chunks = [int(chunk) for chunk in batch["chunk"]]
        return {"rows": [sum(self._engine.score(self._workspace, self._files, [chunk])) for chunk in chunks]}


def refuse_too_large(machines: Sequence[Mapping[str, float]], *, cpus: int, memory: int) -> None:
    """Refuse an actor that no machine has room for: Ray would wait for such a machine without an end.

    Args:
        machines: Ray's resources of each: ``CPU`` and ``memory``, in bytes; a machine may lack either.
        cpus: cores of an actor.
        memory: bytes of an actor.

    Raises:
        ClientError: no machine has the cores, or the cores and the memory.
    """
    cores = max((int(each.get("CPU", 0)) for each in machines), default=0)
    if cores < cpus:
        raise ClientError(
            f"a copy of the model wants {cpus} cores, and the largest machine has {cores}: give --actor-cpus "
            f"{max(1, cores)}, or more --actors" + ("" if cores else ", to a cluster with machines that compute")
        )
    free = max(each.get("memory", memory) for each in machines if each.get("CPU", 0) >= cpus)
    if free < memory:
        raise ClientError(
            f"a copy of the model wants about {memory / 2**20:,.0f} MiB of memory, and the largest machine with "
            f"{cpus} cores lends Ray {free / 2**20:,.0f} MiB: start Ray there with more (`ray start --memory BYTES`), "
            "or score with --engine local"
        )


def refuse_too_many(machines: Sequence[Mapping[str, float]], *, actors: int, cpus: int, memory: int) -> None:
    """Refuse more actors than the machines have room for: Ray would go on with fewer, without a word.

    Args:
        machines, cpus, memory: as in :func:`refuse_too_large`, which has found room for one.
        actors: number of actors.

    Raises:
        ClientError: there is room for fewer.
    """
    room = sum(int(min(each.get("CPU", 0) / cpus, each.get("memory", math.inf) / memory)) for each in machines)
    if room < actors:
        cores = sum(int(each.get("CPU", 0)) for each in machines)
        wanted = f"{actors * cpus} cores and about {actors * memory / 2**20:,.0f} MiB of memory"
        raise ClientError(
            f"{actors} copies of the model want {wanted}; {len(machines)} machine(s) with {cores} cores in all have "
            f"room for {room}: give --actors {room}, or fewer --actor-cpus"
        )


def _require_answer(address: str) -> None:
    """Check that something listens at a cluster's address; Ray itself would try for minutes.

    Raises:
        OSError, ValueError: nothing does, or the address has another form.
    """
    if address.startswith("ray://"):
        return
    found = importlib.import_module("ray._private.services").canonicalize_bootstrap_address(address)
    host, _, port = str(found).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise OSError(f"no Ray cluster answers at {found} ({error}); see --ray-address") from error


def _import_ray() -> Any:
    try:
        importlib.import_module("ray.data")
    except ImportError as error:
        raise ClientError("Ray is not installed; install it with `pip install 'ray[data]'`") from error
    return importlib.import_module("ray")


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and restore them at the end."""
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
