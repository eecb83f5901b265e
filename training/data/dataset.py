"""From catalogue rows to tensors, with the preprocessing of the server. Augmentation comes before it, on PIL pictures.

Legend: B batch, H = W picture size, T title tokens, A attributes.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from handlers.product_serving.preprocessing import Product, ProductPreprocessor, collate
from training.catalog.reading import Catalog
from training.data.attributes import MISSING
from training.data.damage.titles import TitleDamager
from training.data.picture_cache import PictureCache, read_picture
from training.system.device import affordable_processes

GraphInputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
LabelledProducts = tuple[GraphInputs, Tensor]


def augmentation(size: int) -> v2.Transform:
    """Crop to 0.5-1 of the area, flip, change brightness and contrast. Hue stays: colour may be an attribute."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )


class ProductDataset(Dataset[tuple[Product, NDArray[np.int64]]]):
    """Products of a catalogue, preprocessed one at a time.

    The seed of each augmentation is (seed, epoch, row). So a resumed epoch gives the same products, and so does another
    number of loader processes.

    Args:
        products: rows with ``image`` and ``text``; "" for none.
        targets: (N, A) int64, the class of each row in each attribute.
        modalities: to be read; the other one counts as missing.
        pictures: decoded pictures; None decodes those of the catalogue.
        augment: change pictures by :func:`augmentation`.
        damage_titles: share of the titles to damage, 0..1.
        damager: damages them; None knows no words that it could add or that are informative.
    """

    def __init__(
        self,
        catalog: Catalog,
        products: pd.DataFrame,
        *,
        targets: NDArray[np.int64],
        preprocessor: ProductPreprocessor,
        modalities: Sequence[str] = ("image", "text"),
        pictures: PictureCache | None = None,
        augment: bool = False,
        damage_titles: float = 0.0,
        damager: TitleDamager | None = None,
        seed: int = 0,
    ) -> None:
        self.catalog = catalog
        self.images = products["image"].tolist() if "image" in modalities else [""] * len(products)
        self.texts = products["text"].tolist() if "text" in modalities else [""] * len(products)
        self.targets = targets
        self.preprocessor = preprocessor
        self.pictures = pictures
        self.augment = augmentation(preprocessor.settings.image_size) if augment else None
        self.damage_titles = damage_titles
        self.damager = damager or TitleDamager()
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Product, NDArray[np.int64]]:
        product = self.preprocessor(None, self._title(row))
        if self.images[row]:
            pixels = np.ascontiguousarray(np.asarray(self._square(row)).transpose(2, 0, 1))
            product = product._replace(image=pixels, present=np.array([True, product.present[1]]))
        return product, self.targets[row]

    def picture(self, row: int) -> Image.Image:
        """The RGB picture of a row that has one, in its original shape."""
        name = self.images[row]
        if self.pictures is not None:
            return self.pictures[name]
        return read_picture(self.catalog, self.preprocessor, name)

    def _square(self, row: int) -> Image.Image:
        picture = self.preprocessor.fit(self.picture(row))
        if self.augment is None:
            return picture
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed also seeds GPUs; on a machine without one that formats a stack trace for each picture.
            torch.default_generator.manual_seed(hash((self.seed, self.epoch, row)) % 2**63)
            changed: Image.Image = self.augment(picture)
        return changed

    def _title(self, row: int) -> str | None:
        title = self.texts[row] or None
        if title is None or not self.damage_titles:
            return title
        random = np.random.default_rng((self.seed, self.epoch, row))
        return self.damager(title, random) if random.random() < self.damage_titles else title


class EpochSampler(Sampler[list[int]]):
    """Batches of row numbers, drawn for each epoch with the seed (seed, epoch).

    Args:
        lengths: (N,) title tokens of each row; rows of similar length share a batch, which saves padding.
        batch_size: maximum number of rows in a batch.
        weights: (N,) relative probability of each row, drawn with replacement; None takes each row once.
    """

    def __init__(
        self, lengths: NDArray[np.int64], *, batch_size: int, weights: NDArray[np.float64] | None = None, seed: int = 0
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.weights = weights
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        rows = self._draw(random)
        pool = 50 * self.batch_size
        batches = []
        for start in range(0, len(rows), pool):
            near = rows[start : start + pool]
            near = near[np.argsort(self.lengths[near], kind="stable")]
            batches += [
                near[first : first + self.batch_size].tolist() for first in range(0, len(near), self.batch_size)
            ]
        random.shuffle(batches)
        return iter(batches)

    def _draw(self, random: np.random.Generator) -> NDArray[np.int64]:
        if self.weights is None:
            return random.permutation(len(self.lengths))
        return random.choice(len(self.lengths), size=len(self.lengths), p=self.weights / self.weights.sum())


def balanced_weights(targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) relative probability of each row: rows of rare classes are drawn more often.

    The weight is the mean over the attributes of n^-0.5, where n is the number of rows with the row's class. Each
    attribute's weights are scaled to a mean of 1, so that all attributes count alike.

    Args:
        targets: (N, A) classes; ``MISSING`` for no value, with a weight of 1.
    """
    return np.asarray(np.mean([_attribute_weights(classes) for classes in targets.T], axis=0), dtype=np.float64)


def _attribute_weights(classes: NDArray[np.int64]) -> NDArray[np.float64]:
    weights, known = np.ones(len(classes)), classes != MISSING
    if known.any():
        counts = np.bincount(classes[known])
        weights[known] = counts[classes[known]] ** -0.5
        weights[known] /= weights[known].mean()
    return weights


def title_lengths(preprocessor: ProductPreprocessor, texts: Sequence[str]) -> NDArray[np.int64]:
    """(N,) number of tokens of each title; equal titles are tokenised once."""
    lengths = {text: len(preprocessor.tokens(text)) for text in set(texts)}
    return np.array([lengths[text] for text in texts], dtype=np.int64)


def product_loader(
    dataset: ProductDataset, *, batch_size: int, sampler: EpochSampler | None = None, processes: int = 0
) -> DataLoader[LabelledProducts]:
    """Batches of graph inputs and targets, in the order of the rows or of the sampler."""
    size = dataset.preprocessor.settings.image_size
    order: dict[str, Any] = {"batch_size": batch_size} if sampler is None else {"batch_sampler": sampler}
    return DataLoader[Any](
        dataset,
        collate_fn=to_tensors,
        num_workers=affordable_processes(processes, 3 * size * size * batch_size),
        pin_memory=torch.cuda.is_available(),  # the copy to a GPU overlaps with the previous step
        **order,
    )


def to_tensors(rows: Sequence[tuple[Product, NDArray[np.int64]]]) -> LabelledProducts:
    """Products and targets -> the fields of :class:`handlers.product_serving.engines.engine.Batch`, targets (B, A)."""
    image, input_ids, attention_mask, present, ngrams = map(torch.from_numpy, collate([product for product, _ in rows]))
    targets = torch.from_numpy(np.stack([target for _, target in rows]))
    return (image, input_ids, attention_mask, present, ngrams), targets
