"""Killed workers, three times the load, clients that hang up, and a soak: what is lost, and how fast it is over."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from http_load import LOST, Answer, Load, percentile
from scale import Figures, count
from tqdm import tqdm

from benchmarks.server.load.connections import connect
from client.api.management import Management
from client.archives.model_store import Archive
from client.server.config import ServerConfig

BATCH = 16
RECOVERY = 15.0
Processes = Callable[[], dict[int, bool]]


def workers(processes: Processes) -> set[int]:
    return {process for process, is_front_end in processes().items() if not is_front_end}


def since(answers: Iterable[Answer], moment: float, until: float = float("inf")) -> list[Answer]:
    """The requests that were due in a span of time."""
    return [answer for answer in answers if moment <= answer.due < until]


def test_killed_workers(
    *, load: Load, capacity: float, processes: Processes, management: Management, archive: Archive, figures: Figures
) -> None:
    kills, lost, turned_away, sent, slowest = count(1, 10), [], 0, 0, 0.0
    for _ in tqdm(range(kills), desc="kills", disable=None):
        load.answers.clear()
        with load.at_rate(capacity / 2):
            time.sleep(2)
            before = workers(processes)
            os.kill(min(before), signal.SIGKILL)
            killed = time.monotonic()
            while len(workers(processes) - {min(before)}) < len(before):
                assert time.monotonic() - killed < 4 * RECOVERY, "no new worker was started"
                time.sleep(0.05)
            management.wait_ready(archive.model, timeout=4 * RECOVERY)
            slowest = max(slowest, time.monotonic() - killed)
            time.sleep(1)
        statuses = load.statuses()
        assert statuses.keys() <= {200, 500, 503, 507}, statuses
        lost.append(statuses[500] + statuses[507])
        turned_away += statuses[503]
        sent += statuses.total()
    what = f"kill -9 of one of two workers at half load, {kills} times"
    figures.require(what, f"at most one batch ({BATCH}) lost each time", f"{lost}", max(lost) <= BATCH)
    # No loss, but a refusal: half the load is all that one worker can do, and another one is starting beside it.
    figures.note(f"{what}: turned away by a full queue (503)", f"{turned_away} of {sent}")
    figures.require_timing(what, f"READY within {RECOVERY:g} s", f"{slowest:.1f} s at most", slowest <= RECOVERY)


def test_three_times_the_load(*, heavy: Load, heavy_capacity: float, processes: Processes, figures: Figures) -> None:
    load, capacity = heavy, heavy_capacity
    seconds, calm = count(5, 60), count(3, 10)
    before_processes = processes()
    with load.at_rate(capacity / 2):
        time.sleep(calm)
    before = percentile(load.answers, 0.99)
    load.answers.clear()
    with load.at_rate(capacity / 2):
        with Load(load.url, load.requests).at_rate(2.5 * capacity, seed=1) as flood:
            time.sleep(seconds)
        over = time.monotonic()
        time.sleep(10 + calm)
    statuses = load.statuses() + flood.statuses()
    sent = statuses.total() / seconds
    lost = Counter(answer.body.decode() for answer in flood.answers if answer.status == LOST)
    after = percentile(since(load.answers, over + 10), 0.99)
    what = f"3 times the load ({3 * capacity:.0f}/s) for {seconds} s"
    figures.require(
        what,
        "every request 200 or 503",
        f"{dict(statuses)} {dict(lost) or ''}, {sent:.0f}/s",
        statuses.keys() <= {200, 503},
    )
    figures.require(
        what, "no worker dies", f"{len(before_processes.keys() - processes())}", processes() == before_processes
    )
    figures.require_timing(
        what,
        "p99 back within 10 % in 10 s",
        f"{1000 * before:.0f} ms before, {1000 * after:.0f} ms after",
        after <= 1.1 * before,
    )


async def hang_up(load: Load, number: int, *, within: float) -> None:
    """So many clients, at random moments: each goes after a part of its request, after all of it, or without a word."""
    chance = random.Random(0)

    async def one(request: bytes) -> None:
        await asyncio.sleep(chance.random() * within)
        _, writer = await connect(load.url)
        writer.write(request[: chance.choice((0, 20, len(request) // 2, len(request) - 1, len(request)))])
        await writer.drain()
        await asyncio.sleep(chance.random() * 0.02)
        writer.transport.abort()

    await asyncio.gather(*(one(load.requests[client % len(load.requests)]) for client in range(number)))


def test_clients_that_hang_up_at_once(
    *,
    load: Load,
    capacity: float,
    processes: Processes,
    management: Management,
    archive: Archive,
    figures: Figures,
) -> None:
    clients, before = count(100, 1000), processes()
    with load.at_rate(capacity / 4):
        for _ in range(clients // 50):
            asyncio.run(hang_up(load, 50, within=0))
    empty = seconds_until_idle(management, archive)
    what = f"{clients} clients that hang up, 50 at once"
    figures.require(what, "no dead worker", f"{len(before.keys() - processes())}", processes() == before)
    # A fifth of them are whole requests, more at once than the queue holds.
    figures.require(what, "the others get 200 or 503", f"{dict(load.statuses())}", load.statuses().keys() <= {200, 503})
    figures.require(what, "queue empty within 5 s", f"{empty:.1f} s", empty <= 5)


def test_clients_that_hang_up_one_by_one(*, load: Load, capacity: float, figures: Figures) -> None:
    clients, seconds = count(100, 1000), count(3, 40)
    with load.at_rate(capacity / 4):
        time.sleep(seconds)
        began = time.monotonic()
        asyncio.run(hang_up(load, clients, within=seconds))
        ended = time.monotonic()
    calm = percentile(since(load.answers, 0, began), 0.99)
    ratio = percentile(since(load.answers, began, ended), 0.99) / calm
    what = f"{clients} clients that hang up within {seconds} s"
    figures.require(what, "the others are all answered", f"{dict(load.statuses())}", set(load.statuses()) == {200})
    figures.require_timing(
        what,
        "p99 of the others <= 1.2 times",
        f"{ratio:.2f} times {1000 * calm:.0f} ms",
        ratio <= 1.2,
    )


def seconds_until_idle(management: Management, archive: Archive) -> float:
    began = time.monotonic()
    while (found := management.find(archive.model)) is None or found.pending:
        assert time.monotonic() - began < 60, "the queue does not get empty"
        time.sleep(0.05)
    return time.monotonic() - began


def test_soak(*, load: Load, processes: Processes, figures: Figures) -> None:
    """Front end and workers together, against what they held after the first tenth."""
    requests = count(2000, 20_000)
    with load.callers(16):
        reach(load, requests // 10)
        memory, files, ids = resident(processes), descriptors(processes), processes()
        reach(load, requests)
        memory_after, files_after = resident(processes), descriptors(processes)
    grown = {name: after - memory[name] for name, after in memory_after.items()}
    what = f"soak, {len(load.answers)} requests"
    held = all(grow <= 100e6 and grow <= 0.05 * memory[name] for name, grow in grown.items())
    shown = ", ".join(f"{name} {memory[name] / 1e6:.0f} MB {grow / 1e6:+.0f}" for name, grow in grown.items())
    figures.require(what, "all answered by the same processes", f"{dict(load.statuses())}", ids == processes())
    assert LOST not in load.statuses() and set(load.statuses()) == {200}
    figures.require_timing(what, "resident memory <= +5 % and <= +100 MB", shown, held)
    changed = files_after - files
    figures.require(what, "file descriptors +-5", f"{files} {changed:+d}", abs(changed) <= 5)


def reach(load: Load, number: int) -> None:
    with tqdm(total=number, initial=len(load.answers), desc="soak", unit="request", disable=None) as bar:
        while len(load.answers) < number:
            time.sleep(0.1)
            bar.update(len(load.answers) - bar.n)


def resident(processes: Processes) -> dict[str, float]:
    """Bytes of memory: of the front end, and of all workers."""
    page, found = os.sysconf("SC_PAGE_SIZE"), {"front end": 0.0, "workers": 0.0}
    for process, is_front_end in processes().items():
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        found["front end" if is_front_end else "workers"] += page * pages
    return found


def descriptors(processes: Processes) -> int:
    return sum(len(list(Path(f"/proc/{process}/fd").iterdir())) for process in processes())


@pytest.fixture(autouse=True)
def everything_is_back(config: ServerConfig, management: Management, archive: Archive) -> object:
    """Each fault begins at a whole server."""
    yield
    management.wait_ready(archive.model, timeout=60)
    return None
