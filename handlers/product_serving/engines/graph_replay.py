"""Answer batches by replaying captured graphs: choose a graph and pad the batch to its size.

A captured graph (CUDA graph) launches hundreds of kernels at the cost of one launch. It always uses the same addresses,
so its size is fixed. Graphs are captured for several batch sizes and title lengths. A batch is padded to the smallest
graph that holds it, and the logits of the padding are dropped:

    pinned memory of the host --> the graphs' inputs --> a graph --> its logits --> pinned memory of the host

Batches run one after the other, in one stream. :class:`ReplayDevice` is the interface of the device. The tests use a
device that delays all work in its stream as long as the interface permits.

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

TOKENS_STEP = 8  # attention kernels need mask rows aligned to 8 elements
CAPTURE_SECONDS = 6.0  # of the 15 s of a start


class CaptureError(EngineError):
    """The device failed to capture the graph."""


class Size(NamedTuple):
    """The size of one graph.

    Args:
        products: B.
        tokens: T of every title.
    """

    products: int
    tokens: int


class Inputs(NamedTuple):
    """Memory of the device or the host for a graph's inputs; the fields have the inputs' names.

    Args:
        image: (B, 3, H, W) uint8.
        input_ids: (B * T,) int64.
        attention_mask: (B * T,) int64.
        present: (B, 2) bool.
        ngrams: (B, G) int64; G is the same in all graphs.
    """

    image: Any
    input_ids: Any
    attention_mask: Any
    present: Any
    ngrams: Any

    def cut(self, size: Size) -> "Inputs":
        """View the front of this memory as contiguous inputs of a size; titles become (B, T)."""
        products, tokens = size
        input_ids, attention_mask = (
            memory[: products * tokens].reshape(products, tokens) for memory in (self.input_ids, self.attention_mask)
        )
        return Inputs(self.image[:products], input_ids, attention_mask, self.present[:products], self.ngrams[:products])


class Captured(NamedTuple):
    """A captured graph.

    Args:
        replay: queues its kernels in the device's stream.
        logits: (B, columns) in the device's memory; each replay overwrites them.
    """

    replay: Callable[[], None]
    logits: Any


class ReplayDevice(Protocol):
    """Memory, one stream and capture. Calls return at once, except for ``capture`` and ``finish``."""

    def host(self, shape: Sequence[int], dtype: str) -> Any:
        """Memory of the host for asynchronous copies; ``numpy()`` is a view of it."""

    def memory(self, shape: Sequence[int], dtype: str) -> Any:
        """Memory of the device, zeroed."""

    def copy(self, target: Any, source: Any) -> None:
        """Copy in the stream, between the device and the host."""

    def finish(self) -> None:
        """Wait for all work in the stream."""

    def capture(self, inputs: Inputs) -> Captured:
        """Run the graph on inputs to warm up, then capture it."""


def sizes(max_batch: int, max_tokens: int) -> list[Size]:
    """Return the sizes to capture, largest first, because smaller graphs can then reuse the memory of larger ones.

    Args:
        max_batch: the most products in a batch; smaller sizes are powers of 2.
        max_tokens: length of the longest title; shorter lengths are multiples of ``TOKENS_STEP``.
    """
    batches = {min(2**power, max_batch) for power in range(max_batch.bit_length() + 1)}
    lengths = {min(length, max_tokens) for length in range(TOKENS_STEP, max_tokens + TOKENS_STEP, TOKENS_STEP)}
    every = itertools.starmap(Size, itertools.product(batches, lengths))
    return sorted(every, key=lambda size: (size.products * size.tokens, size), reverse=True)


class GraphReplayer:
    """Answers batches by replaying graphs, one batch at a time even if several threads call.

    Args:
        device: runs the graphs.
        image_size: H = W.
        max_tokens: length of the longest title.
        max_ngrams: G of every graph; 1 for a model that does not read them.
        max_batch: the most products in a batch.
        seconds: time limit for capturing; a larger graph answers for a size that was not captured.

    Raises:
        CaptureError: the device cannot capture a graph.
    """

    def __init__(
        self,
        device: ReplayDevice,
        *,
        image_size: int,
        max_tokens: int,
        max_ngrams: int,
        max_batch: int,
        seconds: float = CAPTURE_SECONDS,
    ) -> None:
        self._device, self._largest = device, Size(max_batch, max_tokens)
        self._lock = threading.Lock()
        self._host, self._inputs = (
            _inputs(memory, self._largest, image_size, max_ngrams) for memory in (device.host, device.memory)
        )
        self.graphs = self._capture(sizes(max_batch, max_tokens), seconds)
        self._logits = device.host(self.graphs[self._largest].logits.shape, "float32")

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> (B, columns) float32, what the graph computes.

        Raises:
            ValueError: the batch is larger than the largest captured graph.
        """
        asked = Size(*batch.input_ids.shape)
        if asked.products > self._largest.products or asked.tokens > self._largest.tokens:
            raise ValueError(f"a batch must have at most {_text(self._largest)}, got {_text(asked)}")
        with self._lock:
            return self._run(batch, asked)

    def size_for(self, asked: Size) -> Size:
        """Return the smallest captured size that holds the batch."""
        return min(
            (size for size in self.graphs if size.products >= asked.products and size.tokens >= asked.tokens),
            key=lambda size: (size.products * size.tokens, size),
        )

    def _capture(self, wanted: Sequence[Size], seconds: float) -> dict[Size, Captured]:
        """Capture as many sizes as the time allows, and always the largest."""
        graphs: dict[Size, Captured] = {}
        end = time.monotonic() + seconds
        for size in wanted:
            if graphs and time.monotonic() > end:
                break
            try:
                graphs[size] = self._device.capture(self._inputs.cut(size))
            except Exception as error:  # drivers and libraries raise any error
                raise CaptureError(f"no graph of {_text(size)}: {error}") from error
        return graphs

    def _run(self, batch: Batch, asked: Size) -> NDArray[np.float32]:
        size, products = self.size_for(asked), asked.products
        captured, device = self.graphs[size], self._device
        host, inputs = self._host.cut(size), self._inputs.cut(size)
        _fill(host, batch)
        # The padding's pictures are not copied: the graph reads pictures of an earlier batch there.
        device.copy(inputs.image[:products], host.image[:products])
        for target, source in zip(inputs[1:], host[1:], strict=True):
            device.copy(target, source)
        captured.replay()
        device.copy(self._logits[:products], captured.logits[:products])
        device.finish()
        logits: NDArray[np.float32] = self._logits.numpy()[:products].copy()  # the next batch overwrites the memory
        return logits


def _fill(host: Inputs, batch: Batch) -> None:
    """Write a batch, followed by padding."""
    image, input_ids, attention_mask, present, ngrams = (memory.numpy() for memory in host)
    products, tokens = batch.input_ids.shape
    image[:products] = batch.image
    for memory, values in ((input_ids, batch.input_ids), (attention_mask, batch.attention_mask)):
        memory[...] = 0
        memory[:products, :tokens] = values
    attention_mask[products:, 0] = 1  # attention over no token would divide by zero
    present[:products], present[products:] = batch.present, True
    ngrams[...] = 0
    ngrams[:products, : batch.ngrams.shape[1]] = batch.ngrams


def _inputs(memory: Callable[[Sequence[int], str], Any], largest: Size, image_size: int, ngrams: int) -> Inputs:
    """Allocate memory for the largest size; a smaller graph reads the front of it."""
    products, tokens = largest
    return Inputs(
        memory((products, 3, image_size, image_size), "uint8"),
        memory((products * tokens,), "int64"),
        memory((products * tokens,), "int64"),
        memory((products, 2), "bool"),
        memory((products, ngrams), "int64"),
    )


def _text(size: Size) -> str:
    return f"{size.products} products x {size.tokens} tokens"
