"""Run a command as on a kernel without IPv6: ``python without_ipv6.py COMMAND ...``.

It sets a filter of system calls (seccomp), for which nobody has to be root. The numbers are those of Linux on x86-64.
"""

import ctypes
import errno
import os
import socket
import struct
import sys


def refuse_ipv6() -> None:
    """Make this process, and what it becomes, get EAFNOSUPPORT for such a socket."""
    load, jump_if_equal, give = 0x20, 0x15, 0x06  # of linux/bpf_common.h
    allow, fail = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT  # of linux/seccomp.h
    number_of_socket, call, first_argument = 41, 0, 16  # of x86-64; offsets in seccomp_data
    steps = [
        (load, 0, 0, call),
        (jump_if_equal, 0, 3, number_of_socket),
        (load, 0, 0, first_argument),
        (jump_if_equal, 0, 1, socket.AF_INET6),
        (give, 0, 0, fail),
        (give, 0, 0, allow),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filter_of = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    no_new_rights, seccomp, by_filter = 38, 22, 2
    if prctl(no_new_rights, 1, 0, 0, 0) or prctl(seccomp, by_filter, filter_of, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")


if __name__ == "__main__":
    refuse_ipv6()
    os.execv(sys.argv[1], sys.argv[1:])
