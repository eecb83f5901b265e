"""A server in the foreground, for a supervisor: systemd, a container's runtime, a shell."""

import os
import select
import socket
from contextlib import suppress

from client.api.errors import ClientError
from client.api.log import Log
from client.server import local_server
from client.server.config import ServerConfig
from client.server.draining import DRAIN_LIMIT, drain
from client.server.local_server import LocalServer, StartError
from client.server.logs import FollowedLogs

_NOTIFY = "NOTIFY_SOCKET"
_POLL = 0.5


def serve_in_foreground(config: ServerConfig, *, timeout: float, limit: float = DRAIN_LIMIT, log: Log = print) -> None:
    """Start TorchServe and stay until a signal comes. Then let it finish its requests, and stop it.

    Args:
        config: as for :func:`client.server.local_server.start`.
        timeout: seconds until its models must answer.
        limit: seconds that requests under way may take at the end.
        log: gets a line for each step, and what TorchServe and its workers log.

    Raises:
        StartError: the server did not start properly, or ended by itself.
        ClientError: requests were still under way at the limit; their clients got no answer.
        KeyboardInterrupt: the signal came before the server had started.
    """
    logs = FollowedLogs(config.state)
    try:
        server = local_server.start(config, timeout=timeout, log=log)
        log("Stays in the foreground; SIGTERM and Ctrl-C drain and stop it")
        notify("READY=1")
        _stay(server, logs, log)
    except KeyboardInterrupt:
        running = local_server.find_server(config)
        if running is None:  # the start has undone itself
            raise
        notify("STOPPING=1")
        _pass_on(logs, log)
        try:
            answered = drain(running, limit=limit, log=log)
        finally:
            local_server.stop(config)
        _pass_on(logs, log)
        if not answered:
            raise ClientError(
                f"the server is stopped, but requests were still under way after {limit:g} s and got no answer; "
                "--drain gives them longer"
            ) from None
        log("The server is stopped; every request was answered.")


def _stay(server: LocalServer, logs: FollowedLogs, log: Log) -> None:
    """Pass on logs until the front end ends; a signal raises."""
    front_end = os.pidfd_open(server.front_end)
    try:
        while not select.select([front_end], [], [], _POLL)[0]:
            _reap()
            _pass_on(logs, log)
    finally:
        os.close(front_end)
    _pass_on(logs, log)
    local_server.stop(server.config)
    raise StartError("TorchServe ended by itself; its last lines are in logs/ts_log.log and logs/console.log")


def _pass_on(logs: FollowedLogs, log: Log) -> None:
    for line in logs.lines():
        log(line)


def notify(state: str) -> None:
    """Tell systemd, if it asks to be told (sd_notify(3)); an address that begins with @ is an abstract one."""
    if address := os.environ.get(_NOTIFY):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
            telling.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            telling.send(state.encode())


def _reap() -> None:
    """Collect what has ended: the first process of a container inherits all orphans."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
