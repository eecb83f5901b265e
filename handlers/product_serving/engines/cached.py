"""Answers to products that come again: a bounded memory of logits, by what the model reads of a product.

The key is a digest of the pixels and tokens behind preprocessing. So nothing is shared that was cropped, cut or scaled
in another way; titles are the same where their tokens are, pictures where their pixels are; and what cannot be
read is refused each time, as without a memory.

Kept are logits, not the towers' outputs: the cells of one picture take 250 KB (49 x 1280 float32), the logits of 142
classes half a KB, and only a graph cut in parts, with a session each, could go on from cells.

Legend: B batch, C classes.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..engine import Arrays, Backend, Parts
from ..preprocessing import Batch

MIB = 2**20
ENTRY_BYTES = 256  # of an entry, beside its logits: the digest, the array and the table's place (CPython 3.11)


class CachedBackend:
    """A backend that computes only what it has not answered before; safe to call from several threads.

    Args:
        backend: answers the rest.
        mib: memory, in MiB; what was not asked for longest goes first.
        count: is told hits and misses of each batch.
    """

    def __init__(self, backend: Backend, *, mib: float, count: Callable[[int, int], None]) -> None:
        self.name, self.tolerance = backend.name, backend.tolerance
        self._backend, self._count = backend, count
        self._limit = mib * MIB
        self._rows: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, batch: Arrays) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32; a product that comes twice in it is computed once."""
        arrays = Batch(**batch._asdict())
        keys = [_key(arrays, row) for row in range(len(arrays.image))]
        known = self._find(keys)
        missing = {key: row for row, key in enumerate(keys) if key not in known}
        if missing:
            logits = self._backend(_rows(arrays, list(missing.values())))
            computed = dict(zip(missing, logits, strict=True))
            self._keep(computed)
            known |= computed
        self._count(len(keys) - len(missing), len(missing))
        return np.stack([known[key] for key in keys])

    def parts(self) -> Parts:
        """Those of the backend: explanations are not kept."""
        return self._backend.parts()

    def _find(self, keys: list[bytes]) -> dict[bytes, NDArray[np.float32]]:
        with self._lock:
            known = {key: self._rows[key] for key in keys if key in self._rows}
            for key in known:
                self._rows.move_to_end(key)
        return known

    def _keep(self, computed: dict[bytes, NDArray[np.float32]]) -> None:
        with self._lock:
            for key, row in computed.items():
                if np.isfinite(row).all():  # a fault of the moment must not become the answer for good
                    self._rows[key] = row.copy()  # of its own, so that it does not hold its batch
            while self._rows and len(self._rows) * (ENTRY_BYTES + row.nbytes) > self._limit:
                self._rows.popitem(last=False)


def _key(batch: Batch, row: int) -> bytes:
    """A digest of what the model reads of one product, without the padding of its batch."""
    digest = hashlib.blake2b(batch.present[row].tobytes(), digest_size=16)
    digest.update(batch.input_ids[row, batch.attention_mask[row] > 0].tobytes())
    if batch.present[row, 0]:
        digest.update(np.ascontiguousarray(batch.image[row]).data)
    return digest.digest()


def _rows(batch: Batch, rows: list[int]) -> Batch:
    """Some products of a batch, titles padded to the longest of them."""
    longest = int(batch.attention_mask[rows].sum(axis=1).max())
    return Batch(
        batch.image[rows], batch.input_ids[rows, :longest], batch.attention_mask[rows, :longest], batch.present[rows]
    )
