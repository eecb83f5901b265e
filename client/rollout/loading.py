"""Loads a version beside another one, a worker at a time: each takes a core from those that answer."""

import time

from client.api.log import Log
from client.api.management import Management
from client.archives.model_store import Archive
from client.rollout.queues import drain, let_catch_up
from training.system.interrupts import delay_signals

FOUND_TIMEOUT, _POLL = 5.0, 0.2


def bring_up(management: Management, archive: Archive, *, workers: int, drain_grace: float, log: Log) -> None:
    """Register an archive and wait until its workers are READY; if it is registered already, load it again.

    Args:
        management: client of the server.
        archive: in the server's model store.
        workers: number of workers.
        drain_grace: as in :class:`client.rollout.rollout.Rollout`.
        log: gets a line for each step.

    Raises:
        ClientError: the workers do not start.
    """
    if management.find(archive.model, archive.version) is not None:
        log(f"register: {archive.model} {archive.version} was already registered; it is loaded again")
        drain(management, archive.model, archive.version, grace=drain_grace)
        management.unregister(archive.model, archive.version)
    began = time.monotonic()
    let_catch_up(management, archive.model)
    try:
        management.register(archive.path.name)
    except KeyboardInterrupt:  # the server goes on with it; what it does not know yet cannot be unregistered
        with delay_signals(at_once=3):
            _wait_found(management, archive)
        raise
    count = add_workers(management, archive, have=1, workers=workers)
    log(f"register: {archive.path.name}, {count} worker(s) READY after {time.monotonic() - began:.1f} s")


def add_workers(management: Management, archive: Archive, *, have: int, workers: int) -> int:
    """Start workers one after the other.

    Args:
        management: client of the server.
        archive: registered.
        have: number of workers that were started before.
        workers: number to reach.

    Returns:
        The number of workers, all READY.
    """
    for number in range(have + 1, workers + 1):
        management.wait_ready(archive.model, archive.version, at_first=True)
        let_catch_up(management, archive.model)
        management.scale(archive.model, archive.version, workers=number)
    return len(management.wait_ready(archive.model, archive.version, at_first=True).workers)


def _wait_found(management: Management, archive: Archive) -> None:
    deadline = time.monotonic() + FOUND_TIMEOUT
    while management.find(archive.model, archive.version) is None and time.monotonic() < deadline:
        time.sleep(_POLL)
