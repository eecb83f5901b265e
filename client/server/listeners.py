"""The connections of a running front end: whether there are any, and an end to new ones.

TorchServe itself cannot refuse requests while it answers those that it has.
"""

import ctypes
import os
import socket

import psutil

_GET_DESCRIPTOR = 438  # pidfd_getfd(2), the same number on every architecture; Python has no function for it


def refuse_connections(process: int, port: int) -> bool:
    """Close a listener of another process. Connections that it has accepted go on.

    Returns:
        False if the system does not permit it. It takes the right to trace the process, which most containers lack.
    """
    copies = [_copy(process, descriptor) for descriptor in _descriptors(process, port, psutil.CONN_LISTEN)]
    for listener in copies:
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)  # of the socket itself, so of every copy
            listener.close()
    return bool(copies) and None not in copies


def has_connections(process: int, port: int) -> bool:
    """True while clients are connected to a port of a process."""
    return bool(_descriptors(process, port, psutil.CONN_ESTABLISHED))


def _descriptors(process: int, port: int, status: str) -> list[int]:
    try:
        found = psutil.Process(process).net_connections(kind="tcp")
    except psutil.Error:  # it has ended
        return []
    return [each.fd for each in found if each.laddr and each.laddr.port == port and each.status == status]


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
