"""Batches on a device that replays captured graphs: which graph answers, and how a batch is padded to its size.

A captured graph (CUDA graph) repeats its kernels on the same addresses: hundreds of launches for the price of one. So
it has one size. There is one for each of some batch sizes and title lengths. A batch is padded to the smallest that
holds it, and the padding's answers are cut off:

    pinned memory of the host --> the graphs' inputs --> a graph --> its logits --> pinned memory of the host

Batches go one after the other, in one stream. :class:`Device` is all that this asks of a device; the tests have one
whose stream works as late as it may.

Legend: B batch, T title tokens, C classes.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, EngineError

TOKENS_STEP = 8  # attention kernels want the rows of a mask aligned to 8 elements
CAPTURE_SECONDS = 6.0  # of a start-up's 15


class CaptureError(EngineError):
    """A device did not capture the graph."""


class Size(NamedTuple):
    """The size of one graph.

    Args:
        products: B.
        tokens: T of every title.
    """

    products: int
    tokens: int


class Inputs(NamedTuple):
    """Memory of a device or of the host for a graph's inputs, by the graph's names.

    Args:
        image: (B, 3, H, W) uint8.
        input_ids: (B * T,) int64.
        attention_mask: (B * T,) int64.
        present: (B, 2) bool.
    """

    image: Any
    input_ids: Any
    attention_mask: Any
    present: Any

    def cut(self, size: Size) -> "Inputs":
        """The front of this memory as inputs of a size, without gaps: titles become (B, T)."""
        products, tokens = size
        input_ids, attention_mask = (
            memory[: products * tokens].reshape(products, tokens) for memory in (self.input_ids, self.attention_mask)
        )
        return Inputs(self.image[:products], input_ids, attention_mask, self.present[:products])


class Captured(NamedTuple):
    """A captured graph.

    Args:
        replay: puts its kernels into the device's stream.
        logits: (B, C) in the device's memory; each replay writes it anew.
    """

    replay: Callable[[], None]
    logits: Any


class Device(Protocol):
    """Memory, one stream and capture. Calls return at once, except for ``capture`` and ``finish``."""

    def host(self, shape: Sequence[int], dtype: str) -> Any:
        """Memory of the host that copies read and write while the host goes on; ``numpy()`` is a view of it."""

    def memory(self, shape: Sequence[int], dtype: str) -> Any:
        """Memory of the device, zeroed."""

    def copy(self, target: Any, source: Any) -> None:
        """Copy in the stream, between the device and the host."""

    def finish(self) -> None:
        """The host waits for all that the stream was given."""

    def capture(self, inputs: Inputs) -> Captured:
        """Run the graph on inputs to warm up, then capture it."""


def sizes(max_batch: int, max_tokens: int) -> list[Size]:
    """The sizes that graphs are captured for, largest first: smaller ones then live in the memory of larger ones.

    Args:
        max_batch: the most products in a batch; smaller batches come in powers of 2.
        max_tokens: of the longest title; shorter titles come in steps of ``TOKENS_STEP``.
    """
    batches = {min(2**power, max_batch) for power in range(max_batch.bit_length() + 1)}
    lengths = {min(length, max_tokens) for length in range(TOKENS_STEP, max_tokens + TOKENS_STEP, TOKENS_STEP)}
    every = itertools.starmap(Size, itertools.product(batches, lengths))
    return sorted(every, key=lambda size: (size.products * size.tokens, size), reverse=True)


class GraphReplayer:
    """Answers batches by replaying graphs; one at a time, whoever calls.

    Args:
        device: that runs them.
        image_size: H = W.
        max_tokens: of the longest title.
        max_batch: the most products in a batch.
        seconds: to capture for; batches of a size that was not reached are answered by a larger graph.

    Raises:
        CaptureError: the device does not capture.
    """

    def __init__(
        self, device: Device, *, image_size: int, max_tokens: int, max_batch: int, seconds: float = CAPTURE_SECONDS
    ) -> None:
        self._device, self._largest = device, Size(max_batch, max_tokens)
        self._lock = threading.Lock()
        self._host, self._inputs = (
            _inputs(memory, self._largest, image_size) for memory in (device.host, device.memory)
        )
        self.graphs = self._capture(sizes(max_batch, max_tokens), seconds)
        self._logits = device.host(self.graphs[self._largest].logits.shape, "float32")

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32.

        Raises:
            ValueError: the batch is larger than the largest that was captured.
        """
        asked = Size(*batch.input_ids.shape)
        if asked.products > self._largest.products or asked.tokens > self._largest.tokens:
            raise ValueError(f"a batch must have at most {_text(self._largest)}, got {_text(asked)}")
        with self._lock:
            return self._run(batch, asked)

    def size_for(self, asked: Size) -> Size:
        """The smallest captured size that holds a batch."""
        return min(
            (size for size in self.graphs if size.products >= asked.products and size.tokens >= asked.tokens),
            key=lambda size: (size.products * size.tokens, size),
        )

    def _capture(self, wanted: Sequence[Size], seconds: float) -> dict[Size, Captured]:
        """As many as the time allows, the largest in any case."""
        graphs: dict[Size, Captured] = {}
        end = time.monotonic() + seconds
        for size in wanted:
            if graphs and time.monotonic() > end:
                break
            try:
                graphs[size] = self._device.capture(self._inputs.cut(size))
            except Exception as error:  # whatever a driver or a library says
                raise CaptureError(f"no graph of {_text(size)}: {error}") from error
        return graphs

    def _run(self, batch: Batch, asked: Size) -> NDArray[np.float32]:
        size, products = self.size_for(asked), asked.products
        captured, device = self.graphs[size], self._device
        host, inputs = self._host.cut(size), self._inputs.cut(size)
        _fill(host, batch)
        # Pictures of the padding are not moved: the graph reads what an earlier batch left there.
        device.copy(inputs.image[:products], host.image[:products])
        for target, source in zip(inputs[1:], host[1:], strict=True):
            device.copy(target, source)
        captured.replay()
        device.copy(self._logits[:products], captured.logits[:products])
        device.finish()
        logits: NDArray[np.float32] = self._logits.numpy()[:products].copy()  # the next batch writes there
        return logits


def _fill(host: Inputs, batch: Batch) -> None:
    """Put a batch in front, and padding behind it."""
    image, input_ids, attention_mask, present = (memory.numpy() for memory in host)
    products, tokens = batch.input_ids.shape
    image[:products] = batch.image
    for memory, values in ((input_ids, batch.input_ids), (attention_mask, batch.attention_mask)):
        memory[...] = 0
        memory[:products, :tokens] = values
    attention_mask[products:, 0] = 1  # attention to nothing at all would divide by zero
    present[:products], present[products:] = batch.present, True


def _inputs(memory: Callable[[Sequence[int], str], Any], largest: Size, image_size: int) -> Inputs:
    """Memory for the largest size; a smaller graph reads its front."""
    products, tokens = largest
    return Inputs(
        memory((products, 3, image_size, image_size), "uint8"),
        memory((products * tokens,), "int64"),
        memory((products * tokens,), "int64"),
        memory((products, 2), "bool"),
    )


def _text(size: Size) -> str:
    return f"{size.products} products x {size.tokens} tokens"
