"""The load generator, a separate process: ``python -m benchmarks.server.load.generator`` reads a JSON task from stdin.

A closed loop keeps a number of connections busy and so finds the capacity. An open loop sends at given times, even if
the server is slow, and measures a latency from the time at which the request was due. So a server that stalls cannot
slow down the load. Only answers after the warm-up count.
"""

import asyncio
import dataclasses
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.server.load.bodies import BODY_FORMATS, read_bodies
from benchmarks.server.load.connections import Connections, encode
from benchmarks.server.load.queueing import poisson_arrivals
from benchmarks.server.load.task import LOST, LoadResult, Task

TIMEOUT = 120.0


class Generator:
    """Sends the requests of a task on one event loop."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._connections = Connections(task.url)
        wrap, path = BODY_FORMATS[task.body_format], urlsplit(task.url).path or "/"
        self._requests = [
            encode(path, headers={"Content-Type": body.content_type, **task.headers}, body=wrap(body.content))
            for body in read_bodies(Path(task.bodies))
        ]
        self._load = LoadResult(seconds=task.seconds)
        self._lateness: list[float] = []
        self._start = 0.0

    async def run(self) -> LoadResult:
        """Send all requests and wait for the last answers."""
        self._start = began = time.perf_counter()
        spent = time.process_time()
        await (self._closed_loop() if self._task.connections else self._open_loop())
        await self._connections.close()
        self._load.cpu_seconds = time.process_time() - spent
        self._load.wall_seconds = time.perf_counter() - began
        if self._task.requests:
            self._load.seconds = self._load.wall_seconds
        if self._lateness:
            self._load.late = sorted(self._lateness)[int(0.99 * (len(self._lateness) - 1))]
        return self._load

    async def _closed_loop(self) -> None:
        number = iter(range(sys.maxsize))
        end = self._start + self._task.warm + self._task.seconds
        last = self._task.requests or sys.maxsize

        async def caller() -> None:
            while (turn := next(number)) < last and (self._task.requests or time.perf_counter() < end):
                await self._ask(turn, time.perf_counter())

        await asyncio.gather(*(caller() for _ in range(self._task.connections)))

    async def _open_loop(self) -> None:
        due = poisson_arrivals(self._task.rate, seconds=self._task.warm + self._task.seconds, seed=self._task.seed)
        self._load.arrivals = [float(moment) for moment in due]
        pending = set()
        for turn, moment in enumerate(self._load.arrivals):
            if (wait := self._start + moment - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            self._lateness.append(max(0.0, time.perf_counter() - self._start - moment))
            task = asyncio.create_task(self._ask(turn, self._start + moment))
            pending.add(task)
            task.add_done_callback(pending.discard)
        await asyncio.gather(*pending)

    async def _ask(self, turn: int, due: float) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                status, _ = await self._connections.exchange(self._requests[turn % len(self._requests)])
        except (OSError, EOFError, ValueError):  # TimeoutError is an OSError
            status = LOST
        now = time.perf_counter() - self._start
        self._load.count(self._task, status, due=due - self._start, now=now)


def main() -> None:
    """Read a task, run it and write the result as JSON."""
    task = Task(**json.load(sys.stdin))
    json.dump(dataclasses.asdict(asyncio.run(Generator(task).run())), sys.stdout)


if __name__ == "__main__":
    main()
