"""Load on a server over plain sockets: one thread of asyncio, requests encoded beforehand, every answer kept.

An open loop sends at random moments of a fixed rate, whatever the server does, and counts from the moment that a
request should have gone out: a server that stalls does not slow down what measures it.
A closed loop finds the capacity.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.server.load.connections import Connections

TIMEOUT = 60.0
LOST = 0


class Answer(NamedTuple):
    """The answer to one request.

    Args:
        due: when it should have gone out (``time.monotonic``).
        seconds: from then to the answer.
        status: of HTTP; ``LOST`` where none came.
        body: of the answer, or the name of what went wrong.
    """

    due: float
    seconds: float
    status: int
    body: bytes


@dataclass
class Load:
    """Requests to one address, from a thread of its own.

    Args:
        url: scheme, host and port.
        requests: whole HTTP requests, taken in turn.
        answers: what came, in the order of coming.
    """

    url: str
    requests: Sequence[bytes]
    answers: list[Answer] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._connections = Connections(self.url)

    @contextlib.contextmanager
    def at_rate(self, rate: float, *, seed: int = 0) -> Iterator["Load"]:
        """Send ``rate`` requests a second, Poisson, as long as the block lasts; then wait for the last answers."""
        with self._running(lambda: self._open_loop(rate, random.Random(seed))):
            yield self

    @contextlib.contextmanager
    def callers(self, number: int) -> Iterator["Load"]:
        """So many callers that ask again as soon as they are answered, as long as the block lasts."""
        with self._running(lambda: self._closed_loop(number)):
            yield self

    def statuses(self) -> Counter[int]:
        """How often each status came."""
        return Counter(answer.status for answer in self.answers)

    @contextlib.contextmanager
    def _running(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._closing(loop()))
            except BaseException as error:
                errors.append(error)

        self._ended.clear()
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        if errors:
            raise errors[0]

    async def _closing(self, work: Coroutine[Any, Any, None]) -> None:
        await work
        await self._connections.close()

    async def _open_loop(self, rate: float, chance: random.Random) -> None:
        due, number = time.monotonic(), 0
        tasks: set[asyncio.Task[None]] = set()
        while not self._ended.is_set():
            due += chance.expovariate(rate)
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._ask(due, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.gather(*tasks)

    async def _closed_loop(self, number: int) -> None:
        async def call(caller: int) -> None:
            turn = caller
            while not self._ended.is_set():
                await self._ask(time.monotonic(), turn)
                turn += number

        await asyncio.gather(*map(call, range(number)))

    async def _ask(self, due: float, number: int) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                status, body = await self._connections.exchange(self.requests[number % len(self.requests)])
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError
            status, body = LOST, type(error).__name__.encode()
        self.answers.append(Answer(due, time.monotonic() - due, status, body))


def percentile(answers: Sequence[Answer], share: float) -> float:
    """Seconds within which this share of the requests was answered."""
    ordered = sorted(answer.seconds for answer in answers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
