"""Datasets and batches: preprocessing, sampling, and equal epochs for any number of loader processes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.reading import Catalog, CatalogSource, read_catalog
from training.data.attributes import MISSING
from training.data.dataset import EpochSampler, ProductDataset, balanced_weights, product_loader, title_lengths

Build = Callable[..., ProductDataset]


@pytest.fixture(scope="module")
def catalog(drawn_catalogue: Path) -> Catalog:
    return read_catalog(CatalogSource(path=str(drawn_catalogue)), progress=False)


@pytest.fixture
def dataset(catalog: Catalog, tiny_bert: Path) -> Build:
    settings = ProductSettings(model="early", attributes=(Attribute(name="label", labels=("a", "b")),), image_size=32)
    preprocessor = ProductPreprocessor(settings, tiny_bert / "tokenizer.json")
    products = catalog.products.head(12)
    targets = np.arange(len(products), dtype=np.int64) % 2

    def build(**options: object) -> ProductDataset:
        return ProductDataset(catalog, products, targets=targets, preprocessor=preprocessor, **options)  # type: ignore[arg-type]

    return build


def test_rows_are_preprocessed_as_in_the_server(dataset: Build, catalog: Catalog) -> None:
    data = dataset()
    product, target = data[3]
    image = catalog.image_bytes(catalog.products["image"][3])
    np.testing.assert_array_equal(product.image, data.preprocessor.pixels(image))
    np.testing.assert_array_equal(product.input_ids, data.preprocessor.tokens(catalog.products["text"][3]))
    assert target == 1 and product.present.all()


def test_an_unread_modality_is_missing(dataset: Build) -> None:
    product, _ = dataset(modalities=("text",))[0]
    assert product.present.tolist() == [False, True] and (product.image == 255).all()


def test_augmentation_depends_only_on_epoch_and_row(dataset: Build) -> None:
    data, again = dataset(augment=True, seed=5), dataset(augment=True, seed=5)
    first = data[2][0].image
    torch.manual_seed(99)
    np.testing.assert_array_equal(first, again[2][0].image)
    again.epoch = 1
    assert (first != again[2][0].image).any()
    assert (first != dataset()[2][0].image).any()


def test_loader_processes_change_nothing(dataset: Build) -> None:
    alone = list(product_loader(dataset(augment=True), batch_size=5))
    helped = list(product_loader(dataset(augment=True), batch_size=5, processes=1))
    for (inputs, targets), (other_inputs, other_targets) in zip(alone, helped, strict=True):
        torch.testing.assert_close(targets, other_targets)
        for tensor, other in zip(inputs, other_inputs, strict=True):
            torch.testing.assert_close(tensor, other)


def test_an_epoch_takes_each_row_once_in_another_order() -> None:
    sampler = EpochSampler(np.arange(23) % 7, batch_size=4, seed=1)
    epochs = []
    for epoch in range(2):
        sampler.epoch = epoch
        epochs.append([row for batch in sampler for row in batch])
        assert len(list(sampler)) == len(sampler)
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(23))
    assert epochs[0] != epochs[1]


def test_rows_of_a_batch_have_similar_titles() -> None:
    lengths = np.random.default_rng(0).integers(3, 30, size=400)
    spread = [np.ptp(lengths[batch]) for batch in EpochSampler(lengths, batch_size=8)]
    assert np.mean(spread) < 3


def test_rare_classes_are_seen_more_often_but_not_equally() -> None:
    targets = np.repeat([0, 1], [900, 100])
    sampler = EpochSampler(np.ones(1000, dtype=np.int64), batch_size=50, weights=balanced_weights(targets[:, None]))
    drawn = np.concatenate([targets[batch] for batch in sampler])
    # n^-.5 turns 9 : 1 into sqrt(9) : sqrt(1) = 3 : 1
    assert len(drawn) == 1000 and 0.2 < drawn.mean() < 0.3


def test_several_attributes_are_balanced_alike() -> None:
    first, second = np.repeat([0, 1], [900, 100]), np.tile([0, 0, 0, 1], 250)
    both = balanced_weights(np.column_stack([first, second]))
    swapped = balanced_weights(np.column_stack([second, first]))
    np.testing.assert_allclose(both, swapped)
    rare, common = both[(first == 1) & (second == 1)], both[(first == 0) & (second == 0)]
    assert rare.min() > both[(first == 1) & (second == 0)].max() > common.max()
    assert rare.min() > both[(first == 0) & (second == 1)].max() > common.max()
    np.testing.assert_allclose(balanced_weights(np.column_stack([first, first])), balanced_weights(first[:, None]))


def test_a_row_without_a_value_has_the_mean_weight() -> None:
    known = np.repeat([0, 1], [900, 100])
    np.testing.assert_allclose(balanced_weights(np.where(known, known, MISSING)[:, None]), 1)
    np.testing.assert_allclose(balanced_weights(np.full((4, 1), MISSING)), 1)


def test_title_lengths_count_tokens(dataset: Build) -> None:
    preprocessor = dataset().preprocessor
    assert title_lengths(preprocessor, ["", "a", ""]).tolist() == [2, 3, 2]
