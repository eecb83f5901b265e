"""A cache of logits for repeated products, limited in size.

The key is a digest of the preprocessed product: two titles are equal if their tokens are, two pictures if their pixels
are. A picture or title that cannot be read never reaches the cache.

The cache keeps logits and the agreement of picture and title, not the towers' outputs. The cells of one picture take
250 KB (49 x 1280 float32), the logits of 142 classes half a KB.

Legend: B batch, C classes.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .engine import Batch, Engine, Outputs, Parts

MIB = 2**20
ENTRY_BYTES = 256  # overhead of an entry beside its logits: digest, array object, dictionary slot (CPython 3.11)


class CachedEngine:
    """An engine that computes only products that are not in its cache. Safe to call from several threads.

    Args:
        engine: computes the other products.
        mib: size of the cache, in MiB; the least recently used entry is dropped first.
        count: called with the hits and misses of each batch.
    """

    def __init__(self, engine: Engine, *, mib: float, count: Callable[[int, int], None]) -> None:
        self.tolerance = engine.tolerance
        self._engine, self._count = engine, count
        self._limit = mib * MIB
        self._rows: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """A batch -> logits (B, C) float32."""
        return self.outputs(batch).logits

    def outputs(self, batch: Batch) -> Outputs:
        """A batch -> :class:`product_serving.engines.engine.Outputs`; a product that occurs twice is computed once."""
        keys = [_key(batch, row) for row in range(len(batch.image))]
        known = self._find(keys)
        missing = {key: row for row, key in enumerate(keys) if key not in known}
        if missing:
            outputs = self._engine.outputs(batch.rows(list(missing.values())))
            columns = np.column_stack([outputs.logits, outputs.agreement])
            computed = dict(zip(missing, columns, strict=True))
            self._keep(computed)
            known |= computed
        self._count(len(keys) - len(missing), len(missing))
        columns = np.stack([known[key] for key in keys])
        return Outputs(columns[:, :-1], columns[:, -1])

    def parts(self) -> Parts:
        """The engine's own parts; explanations are not cached."""
        return self._engine.parts()

    def _find(self, keys: list[bytes]) -> dict[bytes, NDArray[np.float32]]:
        with self._lock:
            known = {key: self._rows[key] for key in keys if key in self._rows}
            for key in known:
                self._rows.move_to_end(key)
        return known

    def _keep(self, computed: dict[bytes, NDArray[np.float32]]) -> None:
        with self._lock:
            for key, row in computed.items():
                if np.isfinite(row).all():  # a transient fault must not be cached
                    self._rows[key] = row.copy()  # a view would keep the whole batch in memory
            while self._rows and len(self._rows) * (ENTRY_BYTES + row.nbytes) > self._limit:
                self._rows.popitem(last=False)


def _key(batch: Batch, row: int) -> bytes:
    """Digest of one product's inputs, without the padding of the batch."""
    digest = hashlib.blake2b(batch.present[row].tobytes(), digest_size=16)
    digest.update(batch.input_ids[row, batch.attention_mask[row] > 0].tobytes())
    digest.update(batch.ngrams[row, batch.ngrams[row] > 0].tobytes())
    if batch.present[row, 0]:
        digest.update(np.ascontiguousarray(batch.image[row]).data)
    return digest.digest()
