"""The titles of a catalogue for the lexical tower alone: no tokens, no pictures."""

import numpy as np
from numpy.typing import NDArray

from handlers.product_serving.preprocessing import Product
from training.data.dataset import ProductDataset

_NO_PICTURE = np.zeros((3, 1, 1), dtype=np.uint8)
_NO_TOKENS = np.zeros(0, dtype=np.int64)


class LetterTitles(ProductDataset):
    """Products of which only the ids of the title's letters are read; that takes a third of the time."""

    def __getitem__(self, row: int) -> tuple[Product, NDArray[np.int64]]:
        ngrams = self.preprocessor.ngrams(self._title(row) or "")
        present = np.array([False, len(ngrams) > 0])
        return Product(_NO_PICTURE, _NO_TOKENS, _NO_TOKENS, present, ngrams), self.targets[row]
