"""The input of the heads: features of all products, and batches of them.

Legend: B batch, N products, V forms of a title (as it is, and damaged ones), T title tokens, D width of an encoder,
A attributes.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import EpochSampler

HeadInputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
FeatureBatch = tuple[HeadInputs, Tensor]


@dataclasses.dataclass(frozen=True)
class Features:
    """The features of N products.

    Args:
        image: (N, cells, D_image) float16, in memory, memory-mapped or :class:`JoinedRows`.
        tokens: (sum of T, D_text) float16, the distinct titles, concatenated.
        starts: (V, N) int64, the start of each product's title in ``tokens``; row 0 is the title as it is.
        lengths: (V, N) int64, its number of tokens.
        lexical: (titles, D_lexical) float32, the lexical features of the distinct titles.
        titles: (V, N) int64, the row of each product's title in ``lexical``.
        present: (N, 2) bool, picture and title.
        targets: (N, A) int64.
    """

    image: "NDArray[np.float16] | JoinedRows"
    tokens: NDArray[np.float16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    lexical: NDArray[np.float32]
    titles: NDArray[np.int64]
    present: NDArray[np.bool_]
    targets: NDArray[np.int64]

    def batch(self, rows: NDArray[np.int64], *, variants: NDArray[np.int64] | int = 0) -> FeatureBatch:
        """Rows -> (image (B, cells, D), text (B, T, D), mask (B, T), present (B, 2), lexical (B, D)), targets (B, A).

        Args:
            rows: (B,).
            variants: (B,) or one number, the form of the title; 0 is the title as it is.
        """
        lengths = self.lengths[variants, rows]
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        text = self.tokens[np.where(mask, self.starts[variants, rows][:, None] + columns, 0)]
        inputs = (
            torch.from_numpy(self.image[rows].astype(np.float32)),
            torch.from_numpy(text.astype(np.float32)),
            torch.from_numpy(mask.astype(np.int64)),
            torch.from_numpy(self.present[rows]),
            torch.from_numpy(self.lexical[self.titles[variants, rows]]),
        )
        return inputs, torch.from_numpy(self.targets[rows])


class JoinedRows:
    """A view of several arrays as one array.

    Args:
        arrays: K arrays (n_k, ...), or views of several, with equal shapes after the first axis.
        which: (N,) int64, the array of each row.
        at: (N,) int64, the position of each row in its array.
    """

    def __init__(
        self, arrays: "Sequence[NDArray[np.float16] | JoinedRows]", which: NDArray[np.int64], at: NDArray[np.int64]
    ) -> None:
        self._arrays = arrays
        self._which = which
        self._at = at

    @property
    def shape(self) -> tuple[int, ...]:
        """As that of an array."""
        return (len(self._which), *self._arrays[0].shape[1:])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """(B,) -> (B, ...)."""
        joined = np.empty((len(rows), *self._arrays[0].shape[1:]), dtype=np.float16)
        for number, array in enumerate(self._arrays):
            chosen = self._which[rows] == number
            joined[chosen] = array[self._at[rows[chosen]]]
        return joined


def select_features(features: Features, rows: NDArray[np.int64]) -> Features:
    """The features of some products, in the order of ``rows``."""
    return Features(
        image=JoinedRows([features.image], np.zeros(len(rows), dtype=np.int64), rows),
        tokens=features.tokens,
        starts=features.starts[:, rows],
        lengths=features.lengths[:, rows],
        lexical=features.lexical,
        titles=features.titles[:, rows],
        present=features.present[rows],
        targets=features.targets[rows],
    )


def join_features(parts: Sequence[tuple[NDArray[np.int64], Features]], *, count: int) -> Features:
    """Join features that different encoders have computed for different rows.

    Args:
        parts: (row numbers (n_k,), features of n_k products); each row is in exactly one part.
        count: N, the number of all rows.

    Raises:
        ValueError: a row is in no part, or in several.
    """
    rows = np.concatenate([numbers for numbers, _ in parts])
    if not np.array_equal(np.sort(rows), np.arange(count)):
        raise ValueError(f"the parts must hold each of {count} rows once, got {len(rows)} rows")
    order = np.argsort(rows)
    ends = np.cumsum([0, *(len(features.tokens) for _, features in parts)])
    starts = [features.starts + end for (_, features), end in zip(parts, ends, strict=False)]
    ends = np.cumsum([0, *(len(features.lexical) for _, features in parts)])
    titles = [features.titles + end for (_, features), end in zip(parts, ends, strict=False)]
    which = np.concatenate([np.full(len(numbers), number) for number, (numbers, _) in enumerate(parts)])
    at = np.concatenate([np.arange(len(numbers)) for numbers, _ in parts])
    return Features(
        image=JoinedRows([features.image for _, features in parts], which[order], at[order]),
        tokens=np.concatenate([features.tokens for _, features in parts]),
        starts=np.concatenate(starts, axis=1)[:, order],
        lengths=np.concatenate([features.lengths for _, features in parts], axis=1)[:, order],
        lexical=np.concatenate([features.lexical for _, features in parts]),
        titles=np.concatenate(titles, axis=1)[:, order],
        present=np.concatenate([features.present for _, features in parts])[order],
        targets=np.concatenate([features.targets for _, features in parts])[order],
    )


class FeatureBatches:
    """Batches of features for one pass, in the order of the rows or of a sampler.

    Args:
        rows: (M,) the rows to read.
        batch_size: maximum number of rows in a batch.
        sampler: draws positions in ``rows``; None keeps the order and uses no augmentation.
        drop_image: probability that a product's picture is hidden (modality dropout); never together with its title.
        drop_text: likewise for its title.
        damage_titles: probability that a damaged form of its title is read.
        form: the form of all titles if there is no sampler; 0 is the title as it is.
        hidden: (2,) bool, modalities that are hidden if there is no sampler; None hides nothing.
    """

    def __init__(
        self,
        features: Features,
        rows: NDArray[np.int64],
        *,
        batch_size: int = 256,
        sampler: EpochSampler | None = None,
        drop_image: float = 0.0,
        drop_text: float = 0.0,
        damage_titles: float = 0.0,
        form: int = 0,
        hidden: NDArray[np.bool_] | None = None,
    ) -> None:
        self.features = features
        self.rows = rows
        self.batch_size = batch_size
        self.sampler = sampler
        self.drop_image = drop_image
        self.drop_text = drop_text
        self.damage_titles = damage_titles
        self.form = form
        self.hidden = torch.zeros(2, dtype=torch.bool) if hidden is None else torch.from_numpy(hidden)

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size) if self.sampler is None else len(self.sampler)

    def __iter__(self) -> Iterator[FeatureBatch]:
        if self.sampler is None:
            for start in range(0, len(self.rows), self.batch_size):
                rows = self.rows[start : start + self.batch_size]
                (image, text, mask, present, lexical), targets = self.features.batch(rows, variants=self.form)
                yield (image, text, mask, present & ~self.hidden, lexical), targets
            return
        random = np.random.default_rng((self.sampler.seed, self.sampler.epoch, 1))
        for positions in self.sampler:
            variants = self._variants(len(positions), random)
            rows = self.rows[positions]
            (image, text, mask, present, lexical), targets = self.features.batch(rows, variants=variants)
            yield (image, text, mask, self._hide(present, random), lexical), targets

    def _variants(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """(B,) the form of each title."""
        forms = len(self.features.starts)
        if forms == 1 or not self.damage_titles:
            return np.zeros(count, dtype=np.int64)
        return np.where(random.random(count) < self.damage_titles, random.integers(1, forms, count), 0)

    def _hide(self, present: Tensor, random: np.random.Generator) -> Tensor:
        chance = torch.from_numpy(random.random((len(present), 1)))
        hidden = torch.cat([chance < self.drop_image, chance >= 1 - self.drop_text], dim=1)
        kept = present & ~hidden
        return torch.where(kept.any(1, keepdim=True), kept, present)  # a product never loses its only modality
