"""The data of a run: the products, their parts and classes, and the preprocessing."""

import dataclasses
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import Attribute, Hierarchy, ProductSettings
from training.catalog.reading import Catalog, CatalogError, product_columns, read_catalog_for
from training.data.attributes import attribute_classes, find_hierarchies, product_targets
from training.data.corrected_attributes import corrected_cells, corrected_targets, reliable_targets, replace_attributes
from training.data.corrections import (
    CORRECTED_ATTRIBUTES_FILE,
    CORRECTIONS_FILE,
    apply_corrections,
    corrections_csv,
    read_corrections,
    with_columns,
    without_confirmations,
)
from training.data.corrections import summary as correction_summary
from training.data.damage.pictures import damage_for_training
from training.data.damage.titles import TitleDamager, learn_damager
from training.data.damaged_pictures import DamagedPictures
from training.data.dataset import ProductDataset, title_lengths
from training.data.label_noise import damage_labels
from training.data.label_spelling import with_one_spelling
from training.data.letters import LetterTitles
from training.data.picture_cache import PictureCache, open_picture_cache
from training.data.splits import keep_training
from training.models.encoders import tokenizer_json
from training.run.options import TrainOptions
from training.run.parts import draw_split, sampled
from training.system.storage import CSV_ENCODING, write_text

CACHE_SHARE = 0.5  # largest share of the free disk space for decoded pictures


@dataclasses.dataclass(frozen=True)
class RunData:
    """The products of a run and their preprocessing.

    Args:
        products: N sampled rows of the catalogue.
        split: N rows with ``id, label, part, group``, aligned with ``products``.
        preprocessor: the server's preprocessor; its settings hold the attributes. The training part fixes the classes.
        lengths: (N,) number of title tokens.
        pictures: decoded pictures; None decodes pictures when they are read.
        hierarchies: attributes that determine others.
    """

    options: TrainOptions
    catalog: Catalog
    products: pd.DataFrame
    split: pd.DataFrame
    preprocessor: ProductPreprocessor
    lengths: NDArray[np.int64]
    pictures: PictureCache | None = None
    hierarchies: tuple[Hierarchy, ...] = ()

    @functools.cached_property
    def damager(self) -> TitleDamager:
        """Damages titles; what their words tell of the main attribute it learns from the training part.

        From all of it, also for the encoders of a part (:mod:`training.pipeline.cross_fitting`): which words those are
        not shown is then chosen with labels that they do not learn.
        """
        train = self.rows("train")
        return learn_damager(self.products["text"].iloc[train].tolist(), self.targets[train, 0].tolist())

    @property
    def settings(self) -> ProductSettings:
        """The settings that all models of the run share."""
        return self.preprocessor.settings

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """The A attributes that the models predict, the main one first."""
        return self.settings.attributes

    @property
    def targets(self) -> NDArray[np.int64]:
        """Classes (N, A) of each product in each attribute; ``MISSING`` for no value."""
        return product_targets(self.products, self.attributes)

    def rows(self, part: str) -> NDArray[np.int64]:
        """Row numbers of a part."""
        return np.flatnonzero(self.split["part"] == part)

    @property
    def held_out(self) -> NDArray[np.int64]:
        """Row numbers of validation and test, ascending."""
        return np.flatnonzero(self.split["part"] != "train")

    def dataset(
        self,
        rows: NDArray[np.int64] | None = None,
        *,
        modalities: tuple[str, ...] = ("image", "text"),
        training: bool = False,
        image_size: int | None = None,
        tower: str = "",
    ) -> ProductDataset:
        """Some rows as a dataset.

        Args:
            rows: row numbers; None for all.
            modalities: the modalities to read.
            training: augment pictures and damage titles.
            image_size: edge of the pictures in pixels; None for the served size.
            tower: the only tower to read for; ``lexical`` reads letters alone, and has its own share of damaged titles.
        """
        options, letters = self.options, tower == "lexical"
        damage = options.lexical_damage if letters else options.damage_titles
        chosen = np.arange(len(self.products)) if rows is None else rows
        return (LetterTitles if letters else ProductDataset)(
            self.catalog,
            self.products.iloc[chosen],
            targets=self.targets[chosen],
            preprocessor=self.preprocessor if image_size is None else self._resized(image_size),
            modalities=modalities,
            pictures=self.pictures,
            augment=training,
            damage_titles=damage if training and options.damage_titles else 0.0,
            damager=self.damager if training else None,
            seed=options.seed,
        )

    def damaged_pictures(self, rows: NDArray[np.int64]) -> ProductDataset:
        """Some rows as a dataset with damaged pictures and without titles."""
        return DamagedPictures(
            self.catalog,
            self.products.iloc[rows],
            targets=self.targets[rows],
            preprocessor=self.preprocessor,
            pictures=self.pictures,
            seed=self.options.seed,
            damage=damage_for_training,
        )

    def _resized(self, image_size: int) -> ProductPreprocessor:
        settings = dataclasses.replace(self.settings, image_size=image_size)
        return ProductPreprocessor(settings, self.options.out / "tokenizer.json")


def open_products(options: TrainOptions) -> tuple[Catalog, pd.DataFrame]:
    """Read the catalogue and sample it.

    Raises:
        CatalogError: the catalogue cannot be used; the message says how to correct it.
    """
    catalog = read_catalog_for(options.modalities, options.source, max_rejected=options.max_rejected)
    print(f"catalogue: {catalog.summary()}")
    for note in catalog.notes:
        print(f"note: {note}")
    catalog = with_one_spelling(catalog, merge=options.merge_labels)
    if options.corrections is not None:
        catalog = _corrected(catalog, options.corrections)
    products = sampled(options, catalog.products)
    counts = products["label"].value_counts()
    if single := sorted(counts.index[counts == 1]):
        names = ", ".join(single[:5]) + (f" and {len(single) - 5} more" if len(single) > 5 else "")
        print(f"note: classes with one product are trained on but not tested: {names}; --min-class 2 leaves them out")
    return catalog, products.reset_index(drop=True)


def _corrected(catalog: Catalog, path: Path) -> Catalog:
    """The catalogue with corrected labels."""
    columns = catalog.source.target_columns
    named = with_columns(read_corrections(path, ids=catalog.products["id"]), columns)
    corrections = without_confirmations(catalog.products, named, columns=columns)
    if len(corrections) < len(named):
        print(f"note: {len(named) - len(corrections):,} lines of {path} confirm the label that the catalogue has")
    products = apply_corrections(catalog.products, corrections, columns=columns, name=path.name)
    for column, place in product_columns(columns).items():
        if own := [each for each in corrections if each.column == column]:
            of = "" if place == "label" else f" of {column}"
            print(f"corrections{of}: {correction_summary(own, catalog.products[place])} ({path})")
    ids = {each.id for each in corrections}
    given = {
        id: label for id, label in zip(catalog.products["id"], catalog.products["label"], strict=True) if id in ids
    }
    return dataclasses.replace(catalog, products=products, given=given)


def prepare(
    options: TrainOptions, catalog: Catalog, products: pd.DataFrame, split: pd.DataFrame | None = None
) -> RunData:
    """Split the products, fix the classes, and set up the preprocessing in the run folder.

    Args:
        products: N sampled rows.
        split: the split of a fold in cross-validation; None draws one.

    Raises:
        CatalogError: fewer than two classes are left.
    """
    if split is None:
        split = draw_split(options, catalog, products)
    if options.train_share < 1:
        split = keep_training(split, share=options.train_share, kind=options.split, seed=options.seed)
        products = products[products["id"].isin(split["id"])].reset_index(drop=True)
    aligned = split.set_index("id").loc[products["id"]].reset_index()
    train = aligned["part"] == "train"
    attributes = attribute_classes(products[train], catalog.source.target_columns)
    _check_weights(options, attributes)
    if options.label_noise:
        noisy = damage_labels(products.loc[train, "label"].tolist(), share=options.label_noise, seed=options.seed)
        products = products.assign(label=products["label"].mask(train, pd.Series(noisy, index=products.index[train])))
    # A model of pictures needs no tokenizer, but its folder has one: minilm's needs no download.
    vocabulary = options.text_encoder if "text" in options.towers else "minilm"
    write_text(options.out / "tokenizer.json", tokenizer_json(vocabulary))
    settings = ProductSettings(
        model="early",  # each model replaces it by its own
        attributes=attributes,
        image_size=options.image_size,
        image_fit=options.image_fit,
        max_tokens=options.max_tokens,
        lexical="lexical" in options.towers,
        review_precision=options.review_precision,
        set_coverage=options.set_coverage,
    )
    preprocessor = ProductPreprocessor(settings, options.out / "tokenizer.json")
    lengths = title_lengths(preprocessor, products["text"].tolist())
    pictures = _decoded(options, catalog, products, preprocessor)
    return _with_hierarchies(RunData(options, catalog, products, aligned, preprocessor, lengths, pictures))


def _with_hierarchies(data: RunData) -> RunData:
    """Find hierarchies in the training rows, and make the other attributes follow from corrected labels."""
    path = data.options.corrections
    corrections = [] if path is None else read_corrections(path, ids=data.catalog.products["id"])
    corrected = corrected_cells(corrections, data.products["id"], data.catalog.source.target_columns)
    targets, train = data.targets, data.rows("train")
    hierarchies = find_hierarchies(reliable_targets(targets[train], corrected[train]), data.attributes)
    after = corrected_targets(targets, corrected, data.attributes, hierarchies)
    products = replace_attributes(data.products, data.attributes, before=targets, after=after)
    return dataclasses.replace(data, products=products, hierarchies=hierarchies)


def _check_weights(options: TrainOptions, attributes: Sequence[Attribute]) -> None:
    known = [attribute.name for attribute in attributes[1:]]
    if unknown := sorted({name for name, _ in options.attribute_weights} - set(known)):
        raise CatalogError(f"--attribute-weights names {unknown}; the further attributes of --target are {known}")


def _decoded(
    options: TrainOptions, catalog: Catalog, products: pd.DataFrame, preprocessor: ProductPreprocessor
) -> PictureCache | None:
    """A cache of decoded pictures; None if pictures are read rarely or the disk has no room."""
    names = sorted(set(products["image"]) - {""})
    largest = max((options.image_size, *options.image_sizes, *options.cross_fit_sizes))
    needed, free = 3 * largest**2 * len(names), shutil.disk_usage(options.out).free
    if "image" not in options.towers or not options.image_epochs or needed > free * CACHE_SHARE:
        return None
    return open_picture_cache(options.out / "features", catalog, names, preprocessor)


def write_tables(folder: Path, data: RunData) -> None:
    """Write the part of each product (``split.csv``) and the rejected rows with reasons (``rejected.csv``).

    Raises:
        CatalogError: the run was started with other products or another split.
    """
    table = folder / "split.csv"
    if table.exists():
        _check_same(pd.read_csv(table, dtype=str, keep_default_na=False), data.split.astype(str), table)
    write_text(table, data.split.to_csv(index=False))
    write_text(folder / "rejected.csv", data.catalog.rejected.to_csv(index=False), encoding=CSV_ENCODING)
    if data.options.corrections is not None:
        corrections = read_corrections(data.options.corrections, ids=data.catalog.products["id"])
        write_text(folder / CORRECTIONS_FILE, corrections_csv(corrections))
        ids = {each.id for each in corrections}
        _, *further = product_columns(data.catalog.source.target_columns).values()
        rows = data.products.loc[data.products["id"].isin(ids), ["id", *further]]
        write_text(folder / CORRECTED_ATTRIBUTES_FILE, rows.to_csv(index=False))


def _check_same(before: pd.DataFrame, now: pd.DataFrame, table: Path) -> None:
    """Refuse a changed split: the models so far may have been trained on products that are now in the test part."""
    columns = ["id", "label", "part"]
    rows = [set(parts[columns].itertuples(index=False, name=None)) for parts in (before, now)]
    if changed := sorted({product for product, *_ in rows[0] ^ rows[1]}):
        raise CatalogError(
            f"the catalogue has changed since this run was started: {len(changed):,} products differ from {table}, "
            f"such as {', '.join(changed[:5])}; restore the catalogue, or choose another --out"
        )
