"""A device whose stream does nothing until the host waits for it.

A missing wait therefore gives wrong numbers. Memory is the CPU's; graphs are "captured" as functions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from handlers.product_serving.engines.graph_replay import Captured, Inputs


class LateDevice:
    """A :class:`handlers.product_serving.engines.graph_replay.ReplayDevice`.

    Args:
        graph: four inputs -> logits (B, C).
        honest: whether the host waits when it asks to.
        fails_at: the capture that fails, counted from 1.
    """

    def __init__(self, graph: Callable[..., Any], *, honest: bool = True, fails_at: int = 0) -> None:
        self._graph, self._honest, self._fails_at = graph, honest, fails_at
        self._stream: list[Callable[[], object]] = []
        self._logits: list[torch.Tensor] = []
        self.replayed: list[tuple[int, ...]] = []
        self.copied = 0  # bytes

    def host(self, shape: Sequence[int], dtype: str) -> Any:
        return torch.zeros(*shape, dtype=getattr(torch, dtype))

    memory = host

    def copy(self, target: Any, source: Any) -> None:
        assert target.shape == source.shape and target.is_contiguous() and source.is_contiguous()
        self.copied += source.nbytes
        self._stream.append(lambda: target.copy_(source))

    def finish(self) -> None:
        while self._honest and self._stream:
            self._stream.pop(0)()

    def capture(self, inputs: Inputs) -> Captured:
        if len(self._logits) + 1 == self._fails_at:
            raise RuntimeError("operation not permitted when stream is capturing")
        assert all(tensor.is_contiguous() for tensor in inputs)
        logits = self._run(inputs).clone()
        self._logits.append(logits)
        return Captured(lambda: self._stream.append(lambda: self._write(inputs, logits)), logits)

    def _write(self, inputs: Inputs, logits: torch.Tensor) -> None:
        """Graphs share memory: running one overwrites the results of others."""
        for other in self._logits:
            other.fill_(float("nan"))
        self.replayed.append(tuple(inputs.input_ids.shape))
        logits.copy_(self._run(inputs))

    def _run(self, inputs: Inputs) -> torch.Tensor:
        with torch.no_grad():
            answer: torch.Tensor = self._graph(*inputs)
        return answer
