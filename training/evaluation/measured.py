"""Features of the products that are measured: as they are, with damage, and with a side taken away.

Legend: R products that are read, N of them that are measured, V forms of a title, D width of an encoder.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from handlers.product_serving.preprocessing import ProductPreprocessor
from training.catalog.reading import Catalog
from training.data.dataset import ProductDataset, title_lengths
from training.evaluation.conditions import PictureDamage
from training.evaluation.model_groups import ModelGroup
from training.evaluation.text_damage import product_random
from training.features.batches import Features, JoinedRows
from training.features.extraction import extract_features
from training.system.device import Device


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Products with the labels that are true of them.

    Args:
        catalog: where the pictures lie.
        read: R rows of the catalogue that are read together: in bfloat16 a product's features depend in their last
            digits on its neighbours in a batch, so a run's own figures come back only among the neighbours of its own.
        targets: (R, A) class of each in the run's attributes; ``MISSING`` for no value, but never in the main one.
        rows: (N,) which of them are measured.
    """

    catalog: Catalog
    read: pd.DataFrame
    targets: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def products(self) -> pd.DataFrame:
        """The N rows that are measured."""
        return self.read.iloc[self.rows].reset_index(drop=True)

    @property
    def truth(self) -> NDArray[np.int64]:
        """(N, A) class of each."""
        return self.targets[self.rows]


class Titles(NamedTuple):
    """Titles of N products in several forms, as a text encoder reads them; the last form is the empty title.

    Args:
        tokens: (all tokens, D) float16.
        starts: (V + 1, N) int64, where a title begins in ``tokens``.
        lengths: (V + 1, N) int64, its tokens.
        present: (V, N) bool, whether the server would find a title in it.
    """

    tokens: NDArray[np.float16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    present: NDArray[np.bool_]


class DamagedPictures(ProductDataset):
    """Products whose pictures are damaged before they are made square; titles are not read.

    What is larger than the models read is scaled down first, so that damage has one meaning for all pictures.

    Args:
        catalog: where the pictures lie.
        products: rows with ``id``, ``image`` and ``text``.
        targets: (N, A) int64.
        preprocessor: as served.
        damage: RGB picture, generator -> RGB picture.
        seed: with the product's id, of the generator.
    """

    def __init__(
        self,
        catalog: Catalog,
        products: pd.DataFrame,
        *,
        targets: NDArray[np.int64],
        preprocessor: ProductPreprocessor,
        damage: PictureDamage,
        seed: int,
    ) -> None:
        super().__init__(
            catalog, products, targets=targets, preprocessor=preprocessor, modalities=("image",), seed=seed
        )
        self.ids = products["id"].tolist()
        self.damage = damage

    def picture(self, row: int) -> Image.Image:
        """The damaged RGB picture of a row that has one, not yet square."""
        picture, side = super().picture(row), self.preprocessor.settings.image_size
        if max(picture.size) > side:
            picture = ImageOps.contain(picture, (side, side), method=Image.Resampling.BICUBIC)
        return self.damage(picture, product_random(self.seed, self.ids[row], "picture"))


class GroupFeatures:
    """What the models of one group read of the measured products; the towers run when this is made.

    Args:
        group: the models.
        measured: the products.
        device: where the towers run.
        folder: for features, large and temporary.
    """

    def __init__(self, group: ModelGroup, measured: Measured, *, device: Device, folder: Path) -> None:
        self.group = group
        self.measured = measured
        self.device = device
        self.folder = folder
        self._clean = self._extract(folder, self._dataset(measured.read, measured.targets))
        blank = self._dataset(pd.DataFrame({"image": [""], "text": [""]}), np.zeros((1, 1), np.int64))
        self._blank = self._extract(folder, blank)
        self._titles = self._with_empty_title()

    def damaged_pictures(self, damage: PictureDamage, *, seed: int) -> NDArray[np.float16]:
        """(N, cells, D) of damaged pictures, on disk until the next call.

        Args:
            damage: RGB picture, generator -> RGB picture.
            seed: with the product's id, of the generator.
        """
        # Features on disk are named by encoder and file names, which damage does not change: never keep them.
        folder = self.folder / "damaged-pictures"
        shutil.rmtree(folder, ignore_errors=True)
        measured, preprocessor = self.measured, self.group.preprocessor
        dataset = DamagedPictures(
            measured.catalog,
            measured.products,
            targets=measured.truth,
            preprocessor=preprocessor,
            damage=damage,
            seed=seed,
        )
        encoder = self.group.image_encoder
        features = extract_features(folder, dataset, image_encoder=encoder, text_encoder=None, device=self.device)
        return np.asarray(features.image)

    def damaged_titles(self, forms: Sequence[Sequence[str]]) -> Titles:
        """The titles in other forms; distinct titles are read once.

        Args:
            forms: V times N titles.
        """
        count, preprocessor = len(self.measured.rows), self.group.preprocessor
        first, *others = forms
        dataset = ProductDataset(
            self.measured.catalog,
            self.measured.products.assign(image="", text=first),
            targets=self.measured.truth,
            preprocessor=preprocessor,
        )
        features = extract_features(
            self.folder,
            dataset,
            image_encoder=None,
            text_encoder=self.group.text_encoder,
            device=self.device,
            more_titles=[*others, [""] * count],
        )
        empty = len(preprocessor.tokens(""))
        present = np.stack([title_lengths(preprocessor, form) > empty for form in forms])
        shape = (len(forms) + 1, count)  # without a text encoder there is one form, of one empty token
        return Titles(
            features.tokens, np.broadcast_to(features.starts, shape), np.broadcast_to(features.lengths, shape), present
        )

    def put_together(
        self,
        *,
        hidden: NDArray[np.bool_] | None = None,
        pictures: NDArray[np.float16] | None = None,
        titles: Titles | None = None,
        form: int = 0,
    ) -> Features:
        """Features of the measured products.

        Args:
            hidden: (N, 2) bool, sides that are taken away: the models get a white picture or an empty title, and
                ``present`` false, as from the server; None takes nothing away.
            pictures: (N, cells, D) of damaged pictures; None takes them as they are.
            titles: damaged ones; None takes them as they are.
            form: which form of ``titles``.
        """
        rows, clean = self.measured.rows, self._clean
        hidden = np.zeros((len(rows), 2), dtype=bool) if hidden is None else hidden
        shown, at = (clean.image, rows) if pictures is None else (pictures, np.arange(len(rows)))
        read = self._titles if titles is None else titles
        no_picture, no_title = hidden.T
        return Features(
            image=JoinedRows(
                [np.asarray(shown), np.asarray(self._blank.image)],
                no_picture.astype(np.int64),
                np.where(no_picture, 0, at),
            ),
            tokens=read.tokens,
            starts=np.where(no_title, read.starts[-1], read.starts[form])[None],
            lengths=np.where(no_title, read.lengths[-1], read.lengths[form])[None],
            present=np.stack([clean.present[rows, 0], read.present[form]], axis=1) & ~hidden,
            targets=self.measured.truth,
        )

    def _dataset(self, products: pd.DataFrame, targets: NDArray[np.int64]) -> ProductDataset:
        return ProductDataset(self.measured.catalog, products, targets=targets, preprocessor=self.group.preprocessor)

    def _extract(self, folder: Path, dataset: ProductDataset) -> Features:
        return extract_features(
            folder,
            dataset,
            image_encoder=self.group.image_encoder,
            text_encoder=self.group.text_encoder,
            device=self.device,
        )

    def _with_empty_title(self) -> Titles:
        """The titles as they are, and the empty one behind them."""
        clean, rows = self._clean, self.measured.rows
        at_end = np.full_like(clean.starts[0, rows], len(clean.tokens))
        return Titles(
            np.concatenate([clean.tokens, self._blank.tokens]),
            np.stack([clean.starts[0, rows], at_end]),
            np.stack([clean.lengths[0, rows], np.full_like(at_end, self._blank.lengths[0, 0])]),
            clean.present[rows, 1][None],
        )
