"""Batches of any size on a device that replays captured graphs: which graph, what is padded, what runs beside what.

A captured graph (CUDA graph) repeats its kernels on the same addresses, hundreds of launches for the price of one, and
so has one size. There is one for each of some batch sizes and title lengths; a batch is padded up to the smallest that
holds it, and the padding's answers are cut off. A batch beyond the largest goes in several steps:

    host memory, slot 0 or 1 --upload stream--> staging, slot 0 or 1 --compute stream--> inputs, graph, answers --> host

While a step is computed, the host fills the other slot and that is uploaded. Everything that a device has to offer for
this is :class:`Device`; the tests have one of their own, whose streams run as late and in as odd an order as they may.

Legend: B batch, T title tokens, C classes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..engine import Arrays, BackendError

BATCHES = (1, 2, 4, 8, 16, 32, 64)
TOKENS_STEP = 8  # attention kernels want the rows of a mask aligned to 8 elements
SLOTS = 2
CAPTURE_SECONDS = 6.0  # of a start-up's 15


class CaptureError(BackendError):
    """A device did not capture the graph."""


class Size(NamedTuple):
    """What one graph holds.

    Args:
        products: B.
        tokens: T of every title.
    """

    products: int
    tokens: int


class Inputs(NamedTuple):
    """A graph's inputs in a device's memory or in the host's, by the graph's names; each has an array's ``[...]``.

    Args:
        image: (B, 3, H, W) uint8.
        input_ids: (B, T) int64.
        attention_mask: (B, T) int64.
        present: (B, 2) bool.
    """

    image: Any
    input_ids: Any
    attention_mask: Any
    present: Any

    def cut(self, size: Size) -> "Inputs":
        """The front of this memory as arrays of a smaller size, without gaps; titles' memory is flat."""
        products, tokens = size
        input_ids, attention_mask = (
            memory[: products * tokens].reshape(products, tokens) for memory in (self.input_ids, self.attention_mask)
        )
        return Inputs(self.image[:products], input_ids, attention_mask, self.present[:products])

    def pictures(self, products: int) -> "Inputs":
        """The same, of the pictures only the first ones."""
        return self._replace(image=self.image[:products])


class Captured(NamedTuple):
    """A captured graph.

    Args:
        replay: puts its kernels into the compute stream.
        logits: (B, C) in the device's memory; each replay writes it anew.
    """

    replay: Callable[[], None]
    logits: Any


class Device(Protocol):
    """Memory, two streams ``upload`` and ``compute``, events, capture. Calls return at once but for ``finish``."""

    def host(self, shape: Sequence[int], dtype: str) -> Any:
        """Memory of the host that uploads read while the host goes on (pinned); ``numpy()`` is a view of it."""

    def memory(self, shape: Sequence[int], dtype: str) -> Any:
        """Memory of the device, zeroed."""

    def copy(self, target: Any, source: Any, *, stream: str) -> None:
        """Copy in a stream, within the device or between it and the host."""

    def record(self, stream: str) -> Any:
        """An event that has happened when all that the stream was given so far is done."""

    def wait(self, stream: str, event: Any) -> None:
        """What the stream is given from now on starts after the event."""

    def finish(self, event: Any) -> None:
        """The host waits for the event."""

    def capture(self, inputs: Inputs) -> Captured:
        """Run the graph on inputs to warm up, then capture it."""


def sizes(max_tokens: int) -> list[Size]:
    """The sizes that graphs are captured for, largest first: smaller ones then live in the memory of larger ones.

    Args:
        max_tokens: of the longest title.
    """
    lengths = {min(length, max_tokens) for length in range(TOKENS_STEP, max_tokens + TOKENS_STEP, TOKENS_STEP)}
    every = [Size(products, tokens) for products in BATCHES for tokens in lengths]
    return sorted(every, key=lambda size: (size.products * size.tokens, size), reverse=True)


class GraphReplayer:
    """Answers batches by replaying graphs; one at a time, whoever calls.

    Args:
        device: that runs them.
        image_size: H = W.
        max_tokens: of the longest title.
        seconds: to capture for; sizes that were not reached are answered by larger ones.

    Raises:
        CaptureError: the device does not capture.
    """

    def __init__(self, device: Device, *, image_size: int, max_tokens: int, seconds: float = CAPTURE_SECONDS) -> None:
        self._device, self._max_tokens = device, max_tokens
        self._lock = threading.Lock()
        largest = Size(BATCHES[-1], max_tokens)
        self._inputs = _inputs(device.memory, largest, image_size)
        self.graphs = self._capture(sizes(max_tokens), seconds)
        classes = self.graphs[largest].logits.shape[1]
        self._slots = [_Slot(device, largest, image_size, classes) for _ in range(SLOTS)]

    def __call__(self, batch: Arrays) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32.

        Raises:
            ValueError: a title is longer than the longest that was captured.
        """
        arrays = Inputs(**batch._asdict())
        products, tokens = arrays.input_ids.shape
        if tokens > self._max_tokens:
            raise ValueError(f"titles must have at most {self._max_tokens} tokens, got {tokens}")
        with self._lock:
            steps = (slice(start, start + BATCHES[-1]) for start in range(0, products, BATCHES[-1]))
            return self._run([Inputs(*(array[rows] for array in arrays)) for rows in steps])

    def size_for(self, products: int, tokens: int) -> Size:
        """The smallest captured size that holds a batch."""
        return min(
            (size for size in self.graphs if size.products >= products and size.tokens >= tokens),
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
                raise CaptureError(f"no graph of {size.products} products x {size.tokens} tokens: {error}") from error
        return graphs

    def _run(self, steps: Sequence[Inputs]) -> NDArray[np.float32]:
        """Start each step as soon as its slot's last answer is taken."""
        running: deque[tuple[_Slot, Any, int]] = deque()
        answers = []
        for number, rows in enumerate(steps):
            if len(running) == SLOTS:
                answers.append(self._take(*running.popleft()))
            slot = self._slots[number % SLOTS]
            running.append((slot, self._start(slot, rows), len(rows.present)))
        answers += [self._take(*step) for step in running]
        return np.concatenate(answers)

    def _start(self, slot: "_Slot", rows: Inputs) -> Any:
        """Upload and compute a step; the event of its answer."""
        products, tokens = rows.input_ids.shape
        size = self.size_for(products, tokens)
        captured, device = self.graphs[size], self._device
        slot.fill(rows, size)
        # Pictures of the padding are not moved: what lies there from an earlier batch is read, and cut off again.
        host, staging, inputs = (
            memory.cut(size).pictures(products) for memory in (slot.host, slot.staging, self._inputs)
        )
        for target, source in zip(staging, host, strict=True):
            device.copy(target, source, stream="upload")
        device.wait("compute", device.record("upload"))
        for target, source in zip(inputs, staging, strict=True):
            device.copy(target, source, stream="compute")
        captured.replay()
        device.copy(slot.logits[:products], captured.logits[:products], stream="compute")
        return device.record("compute")

    def _take(self, slot: "_Slot", answered: Any, products: int) -> NDArray[np.float32]:
        """The answer of a step, out of its slot: the next one writes there."""
        self._device.finish(answered)
        logits: NDArray[np.float32] = slot.logits.numpy()[:products].copy()
        return logits


class _Slot:
    """Memory of one step on its way: on the host, on the device, and the answer on the host."""

    def __init__(self, device: Device, largest: Size, image_size: int, classes: int) -> None:
        self.host = _inputs(device.host, largest, image_size)
        self.staging = _inputs(device.memory, largest, image_size)
        self.logits = device.host((largest.products, classes), "float32")

    def fill(self, rows: Inputs, size: Size) -> None:
        """Put a batch in front, and products that no one asked for behind it."""
        image, input_ids, attention_mask, present = (memory.numpy() for memory in self.host.cut(size))
        products, tokens = rows.input_ids.shape
        image[:products] = rows.image
        for memory, values in ((input_ids, rows.input_ids), (attention_mask, rows.attention_mask)):
            memory[...] = 0
            memory[:products, :tokens] = values
        attention_mask[products:, 0] = 1  # attention to nothing at all would divide by zero
        present[:products], present[products:] = rows.present, True


def _inputs(memory: Callable[[Sequence[int], str], Any], largest: Size, image_size: int) -> Inputs:
    """Memory for a graph's largest size, a graph of a smaller one reads its front."""
    products, tokens = largest
    return Inputs(
        memory((products, 3, image_size, image_size), "uint8"),
        memory((products * tokens,), "int64"),
        memory((products * tokens,), "int64"),
        memory((products, 2), "bool"),
    )
