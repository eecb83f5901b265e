"""The connections of a running front end: whether there are any, and an end to new ones.

TorchServe itself cannot refuse requests while it answers those that it has.
"""

import contextlib
import ctypes
import os
import socket
import struct
import time
from collections.abc import Collection
from pathlib import Path

import psutil

_GET_DESCRIPTOR = 438  # pidfd_getfd(2), the same number on every architecture; Python has no function for it
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER; Python has no name for it
_DROP = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K: keep 0 bytes of a packet
_ACCEPT_PATIENCE, _POLL = 5.0, 0.01
_LISTENS, _CONNECTED = {"0A"}, {"01", "08"}  # states of tcp(7): LISTEN; ESTABLISHED, CLOSE_WAIT


def refuse_connections(process: int, port: int) -> bool:
    """Close a listener of another process. Connections that were made before go on.

    A closed listener resets the connections that the process has not accepted yet. So no further ones are let in until
    it has accepted these; who comes meanwhile tries again after a second, and is refused then.

    Returns:
        False if the system does not permit it. It takes the right to trace the process, which most containers lack.
    """
    copies = [_copy(process, descriptor) for descriptor in _listeners(process, port)]
    listeners = [copy for copy in copies if copy is not None]
    for listener in listeners:
        _let_nobody_in(listener)
    deadline = time.monotonic() + _ACCEPT_PATIENCE
    while listeners and sum(_receive_queues(port, _LISTENS)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)  # of the socket itself, so of every copy
        listener.close()
    return bool(copies) and None not in copies


def has_connections(port: int) -> bool:
    """True while clients are connected to a port of this machine, also if they will send nothing more."""
    return bool(_receive_queues(port, _CONNECTED))


def _let_nobody_in(listener: socket.socket) -> None:
    """Drop the packets that begin a connection, for every copy of the socket (socket(7), SO_ATTACH_FILTER).

    In a user namespace it is not permitted. Then a connection may be lost that comes in the last hundredth of a second.
    """
    program = ctypes.create_string_buffer(_DROP, len(_DROP))
    with contextlib.suppress(PermissionError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


def _receive_queues(port: int, states: Collection[str]) -> list[int]:
    """Of a port's sockets in these states, from proc(5); that of a listener counts what was not accepted yet."""
    lines = [
        line for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]
    ]
    sockets = [line.split()[1:5] for line in lines]
    return [
        int(queues.partition(":")[2], 16)
        for local, _, state, queues in sockets
        if state in states and int(local.rpartition(":")[2], 16) == port
    ]


def _listeners(process: int, port: int) -> list[int]:
    """The process's own descriptors of the sockets that listen on a port."""
    try:
        found = psutil.Process(process).net_connections(kind="tcp")
    except psutil.Error:  # it has ended
        return []
    return [each.fd for each in found if each.status == psutil.CONN_LISTEN and each.laddr.port == port]


def _copy(process: int, descriptor: int) -> socket.socket | None:
    try:
        handle = os.pidfd_open(process)
    except OSError:
        return None
    try:
        copied = ctypes.CDLL(None).syscall(_GET_DESCRIPTOR, handle, descriptor, 0)
    finally:
        os.close(handle)
    return None if copied < 0 else socket.socket(fileno=copied)
