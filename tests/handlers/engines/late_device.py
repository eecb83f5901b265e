"""A device whose streams do their work as late as they may, in an order drawn by chance.

What should have waited and did not gives wrong numbers. Memory is the CPU's, graphs are "captured" as functions.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch

from handlers.product_serving.engines.graph_replay import Captured, Inputs


class Event:
    """Something that happens in a stream."""

    done = False


class LateDevice:
    """A :class:`handlers.product_serving.engines.graph_replay.Device`.

    Args:
        graph: four inputs -> logits (B, C).
        seed: of the order.
        honest: whether a stream waits when it is told to.
        fails_at: the capture that fails, counted from 1.
    """

    def __init__(self, graph: Callable[..., Any], *, seed: int = 0, honest: bool = True, fails_at: int = 0) -> None:
        self._graph, self._honest, self._fails_at = graph, honest, fails_at
        self._random = random.Random(seed)
        self._streams: dict[str, deque[Callable[[], bool]]] = {"upload": deque(), "compute": deque()}
        self._logits: list[torch.Tensor] = []
        self.replayed: list[tuple[int, ...]] = []
        self.uploaded = 0  # bytes
        self.most_waiting = 0  # copies not done when the host asked for more

    def host(self, shape: Sequence[int], dtype: str) -> Any:
        return torch.zeros(*shape, dtype=getattr(torch, dtype))

    memory = host

    def copy(self, target: Any, source: Any, *, stream: str) -> None:
        assert target.shape == source.shape and target.is_contiguous() and source.is_contiguous()
        self.uploaded += source.nbytes if stream == "upload" else 0
        self.most_waiting = max(self.most_waiting, len(self._streams[stream]))
        self._put(stream, lambda: target.copy_(source))

    def record(self, stream: str) -> Event:
        event = Event()
        self._put(stream, lambda: setattr(event, "done", True))
        return event

    def wait(self, stream: str, event: Event) -> None:
        if self._honest:
            self._streams[stream].append(lambda: event.done)

    def finish(self, event: Event) -> None:
        while not event.done:
            ready = [stream for stream in self._streams.values() if stream]
            self._random.shuffle(ready)
            assert any(self._step(stream) for stream in ready), "every stream waits for another one"

    def capture(self, inputs: Inputs) -> Captured:
        if len(self._logits) + 1 == self._fails_at:
            raise RuntimeError("operation not permitted when stream is capturing")
        assert all(tensor.is_contiguous() for tensor in inputs)
        logits = self._run(inputs).clone()
        self._logits.append(logits)

        def replay() -> None:
            self._put("compute", lambda: self._write(inputs, logits))

        return Captured(replay, logits)

    def _write(self, inputs: Inputs, logits: torch.Tensor) -> None:
        """Graphs share their memory: one that runs spoils what others have left there."""
        for other in self._logits:
            other.fill_(float("nan"))
        self.replayed.append(tuple(inputs.input_ids.shape))
        logits.copy_(self._run(inputs))

    def _run(self, inputs: Inputs) -> torch.Tensor:
        with torch.no_grad():
            answer: torch.Tensor = self._graph(*inputs)
        return answer

    def _put(self, stream: str, work: Callable[[], object]) -> None:
        self._streams[stream].append(lambda: work() is not False)

    @staticmethod
    def _step(stream: deque[Callable[[], bool]]) -> bool:
        """Do the next thing of a stream, if it can be done yet."""
        if not stream[0]():
            return False
        stream.popleft()
        return True
