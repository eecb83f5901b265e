"""The measured products: their true classes, and their features as they are, damaged, or without picture or title.

Legend: R products read, N of them measured, V forms of each title, D width of an encoder.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handlers.product_serving.settings import Attribute
from training.catalog.files import open_files
from training.catalog.reading import Catalog, CatalogSource, product_columns
from training.catalog.rows import table_columns
from training.data.attributes import MISSING, product_targets
from training.data.damage.pictures import PictureDamage
from training.data.damaged_pictures import DamagedPictures
from training.data.dataset import ProductDataset, title_lengths
from training.evaluation.model_groups import ModelGroup
from training.features.batches import Features, JoinedRows
from training.features.extraction import extract_features
from training.models import Encoders
from training.system.device import Device


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredProducts:
    """Products with their true classes.

    Args:
        read: R rows of the catalogue that are read together. In bfloat16 the last digits of a product's features depend
            on its batch, so the run's own figures come back only if the batches are the same as in the run.
        targets: (R, A) classes in the run's attributes; ``MISSING`` for no value, but never in the main attribute.
        rows: (N,) indices of the measured rows.
    """

    catalog: Catalog
    read: pd.DataFrame
    targets: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def products(self) -> pd.DataFrame:
        """The N measured rows."""
        return self.read.iloc[self.rows].reset_index(drop=True)

    @property
    def truth(self) -> NDArray[np.int64]:
        """Classes (N, A) of the measured rows."""
        return self.targets[self.rows]


class Titles(NamedTuple):
    """Features of N titles in V forms; one more form is the empty title.

    Args:
        tokens: (all tokens, D) float16.
        starts: (V + 1, N) int64, the start of a title in ``tokens``.
        lengths: (V + 1, N) int64, its number of tokens.
        lexical: (titles, D_lexical) float32.
        titles: (V + 1, N) int64, the row of a title in ``lexical``.
        present: (V, N) bool, True if the server would count the title as present.
    """

    tokens: NDArray[np.float16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    lexical: NDArray[np.float32]
    titles: NDArray[np.int64]
    present: NDArray[np.bool_]


class GroupFeatures:
    """Features of the measured products for the models of one group. The constructor runs the towers.

    Args:
        folder: folder for features, which are large and temporary.
    """

    def __init__(self, group: ModelGroup, measured: MeasuredProducts, *, device: Device, folder: Path) -> None:
        self.group = group
        self.measured = measured
        self.device = device
        self.folder = folder
        self._clean = self._extract(self._dataset(measured.read, measured.targets))
        blank = self._dataset(pd.DataFrame({"image": [""], "text": [""]}), np.zeros((1, 1), np.int64))
        self._blank = self._extract(blank)
        self._titles = self._with_empty_title()

    def damaged_pictures(self, damage: PictureDamage, *, seed: int) -> NDArray[np.float16]:
        """Features (N, cells, D) of damaged pictures, on disk until the next call.

        Args:
            damage: RGB picture, generator -> RGB picture.
            seed: seeds the generator, together with the product's id.
        """
        # The names of kept features depend on encoder and picture files only. Damage does not change them: never reuse.
        folder = self.folder / "damaged-pictures"
        shutil.rmtree(folder, ignore_errors=True)
        measured = self.measured
        dataset = DamagedPictures(
            measured.catalog,
            measured.products,
            targets=measured.truth,
            preprocessor=self.group.preprocessor,
            damage=damage,
            seed=seed,
        )
        return np.asarray(self._extract(dataset, folder=folder, titles=False).image)

    def damaged_titles(self, forms: Sequence[Sequence[str]]) -> Titles:
        """Features of the titles in other forms; each distinct title is read once.

        Args:
            forms: V lists of N titles.
        """
        count, preprocessor = len(self.measured.rows), self.group.preprocessor
        first, *others = forms
        dataset = self._dataset(self.measured.products.assign(image="", text=first), self.measured.truth)
        features = self._extract(dataset, pictures=False, more_titles=[*others, [""] * count])
        empty = len(preprocessor.tokens(""))
        present = np.stack([title_lengths(preprocessor, form) > empty for form in forms])
        return Titles(features.tokens, features.starts, features.lengths, features.lexical, features.titles, present)

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
            hidden: (N, 2) bool, removed pictures and titles. The models get a white picture or an empty title and
                ``present`` false, as from the server. None removes nothing.
            pictures: (N, cells, D), features of damaged pictures; None for the original ones.
            titles: features of damaged titles; None for the original ones.
            form: index of the form in ``titles``.
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
            lexical=read.lexical,
            titles=np.where(no_title, read.titles[-1], read.titles[form])[None],
            present=np.stack([clean.present[rows, 0], read.present[form]], axis=1) & ~hidden,
            targets=self.measured.truth,
        )

    def _dataset(self, products: pd.DataFrame, targets: NDArray[np.int64]) -> ProductDataset:
        return ProductDataset(self.measured.catalog, products, targets=targets, preprocessor=self.group.preprocessor)

    def _extract(
        self,
        dataset: ProductDataset,
        *,
        folder: Path | None = None,
        pictures: bool = True,
        titles: bool = True,
        more_titles: Sequence[Sequence[str]] = (),
    ) -> Features:
        return extract_features(
            folder or self.folder,
            dataset,
            encoders=Encoders(
                *(
                    encoder if (pictures if tower == "image" else titles) else None
                    for tower, encoder in self.group.encoders._asdict().items()
                )
            ),
            device=self.device,
            more_titles=more_titles,
        )

    def _with_empty_title(self) -> Titles:
        """The original titles, followed by the empty title."""
        clean, rows = self._clean, self.measured.rows
        at_end = np.full_like(clean.starts[0, rows], len(clean.tokens))
        last = np.full_like(at_end, len(clean.lexical))
        return Titles(
            np.concatenate([clean.tokens, self._blank.tokens]),
            np.stack([clean.starts[0, rows], at_end]),
            np.stack([clean.lengths[0, rows], np.full_like(at_end, self._blank.lengths[0, 0])]),
            np.concatenate([clean.lexical, self._blank.lexical]),
            np.stack([clean.titles[0, rows], last]),
            clean.present[rows, 1][None],
        )


def with_target_columns(source: CatalogSource, attributes: Sequence[Attribute]) -> CatalogSource:
    """The source with the label columns to measure.

    A source without a label column gets the columns of the run's attributes. The main one is required; the others are
    left out if the catalogue does not have them.

    Args:
        attributes: the run's attributes, the main one first.

    Raises:
        CatalogError: the catalogue cannot be read.
    """
    if source.label_column is not None:
        return source
    header = table_columns(source, open_files(source.path))
    main, *further = (attribute.name for attribute in attributes)
    known = [name for name in further if name in header]
    return dataclasses.replace(source, label_column=main, attribute_columns=known)


def known_targets(products: pd.DataFrame, attributes: Sequence[Attribute]) -> NDArray[np.int64]:
    """Classes (N, A); ``MISSING`` where the product has no value or the catalogue does not have the attribute.

    Args:
        products: N rows of the catalogue.
        attributes: A attributes of the run.
    """
    columns = product_columns([attribute.name for attribute in attributes]).values()
    known = [place for place, column in enumerate(columns) if column in products]
    targets = np.full((len(products), len(attributes)), MISSING, dtype=np.int64)
    targets[:, known] = product_targets(products, [attributes[place] for place in known])
    return targets
