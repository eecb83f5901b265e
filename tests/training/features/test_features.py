"""Features equal the output of the encoders, belong to their weights, and modality dropout hides them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from handlers.product_serving.preprocessing import ProductPreprocessor, collate
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.reading import CatalogSource, read_catalog
from training.data.dataset import EpochSampler, ProductDataset
from training.features.batches import FeatureBatches, Features
from training.features.extraction import extract_features
from training.models import Encoders
from training.models.encoders import ImageEncoder, TextEncoder, build_text_encoder
from training.system.device import Device

CPU = Device("cpu", False, "test")


class Quarters(nn.Module):
    """A backbone of four cells: the mean colour of each quarter."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(pixels, 2)


@pytest.fixture
def dataset(drawn_catalogue: Path, tiny_bert: Path) -> ProductDataset:
    catalog = read_catalog(CatalogSource(path=str(drawn_catalogue)), progress=False)
    settings = ProductSettings(model="early", attributes=(Attribute(name="label", labels=("a",)),), image_size=32)
    products = catalog.products.head(10).copy()
    products.loc[3, "text"] = products.loc[4, "text"]
    products.loc[5, "text"] = ""
    preprocessor = ProductPreprocessor(settings, tiny_bert / "tokenizer.json")
    return ProductDataset(catalog, products, targets=np.zeros(10, dtype=np.int64), preprocessor=preprocessor)


@pytest.fixture
def text_encoder(tiny_bert: Path) -> TextEncoder:
    return build_text_encoder(str(tiny_bert)).eval()


def extract(folder: Path, dataset: ProductDataset, text_encoder: TextEncoder) -> Features:
    return extract_features(
        folder, dataset, encoders=Encoders(ImageEncoder(Quarters(), 3), text_encoder), device=CPU, batch_size=4
    )


def test_features_are_the_outputs_of_the_encoders(
    dataset: ProductDataset, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    rows = [7, 3, 5]
    (image, text, mask, present, _), _ = extract(tmp_path, dataset, text_encoder).batch(np.array(rows))
    batch = collate([dataset[row][0] for row in rows])
    with torch.no_grad():
        cells = ImageEncoder(Quarters(), 3)(torch.from_numpy(batch.image))
        tokens = text_encoder(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask))
    torch.testing.assert_close(image, cells, atol=2e-3, rtol=1e-3)
    assert mask.tolist() == batch.attention_mask.tolist() and present.tolist() == batch.present.tolist()
    torch.testing.assert_close(text[mask.bool()], tokens[mask.bool()], atol=5e-3, rtol=1e-2)


def test_equal_titles_are_encoded_once(dataset: ProductDataset, text_encoder: TextEncoder, tmp_path: Path) -> None:
    features = extract(tmp_path, dataset, text_encoder)
    assert features.starts[0, 3] == features.starts[0, 4]
    assert len(features.tokens) == sum(len(dataset.preprocessor.tokens(title)) for title in set(dataset.texts))


def test_a_second_call_reads_the_files(dataset: ProductDataset, text_encoder: TextEncoder, tmp_path: Path) -> None:
    extract(tmp_path, dataset, text_encoder)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    extract(tmp_path, dataset, text_encoder)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_other_weights_have_other_features(dataset: ProductDataset, text_encoder: TextEncoder, tmp_path: Path) -> None:
    first = extract(tmp_path, dataset, text_encoder)
    with torch.no_grad():
        text_encoder.bert.embeddings.LayerNorm.bias.add_(1)
    second = extract(tmp_path, dataset, text_encoder)
    assert np.abs(np.asarray(first.tokens) - np.asarray(second.tokens)).max() > 0.01
    assert first.image.filename == second.image.filename  # type: ignore[attr-defined]


def test_a_missing_encoder_gives_one_empty_cell(dataset: ProductDataset, tmp_path: Path) -> None:
    features = extract_features(tmp_path, dataset, encoders=Encoders(), device=CPU)
    (image, text, mask, _, lexical), _ = features.batch(np.array([0, 1]))
    assert image.shape == (2, 1, 1) and text.shape == (2, 1, 1) and mask.tolist() == [[1], [1]]
    assert lexical.shape == (2, 0)


@pytest.fixture
def hide(dataset: ProductDataset, text_encoder: TextEncoder, tmp_path: Path) -> Callable[[float, float], torch.Tensor]:
    features = extract(tmp_path, dataset, text_encoder)
    rows = np.tile(np.arange(10), 100)

    def present(drop_image: float, drop_text: float) -> torch.Tensor:
        sampler = EpochSampler(np.ones(len(rows), dtype=np.int64), batch_size=100)
        batches = FeatureBatches(features, rows, sampler=sampler, drop_image=drop_image, drop_text=drop_text)
        return torch.cat([inputs[3] for inputs, _ in batches])

    return present


def test_modality_dropout_hides_as_often_as_asked_and_never_both(hide: Callable[[float, float], torch.Tensor]) -> None:
    present = hide(0.15, 0.25)
    assert present.any(1).all()
    # one product in ten has no title; its picture is never hidden, and hiding a title leaves the other nine
    assert abs((~present[:, 0]).float().mean() - 0.15 * 0.9) < 0.04
    assert abs((~present[:, 1]).float().mean() - (0.1 + 0.25 * 0.9)) < 0.05


def test_without_dropout_all_is_shown(hide: Callable[[float, float], torch.Tensor]) -> None:
    assert abs(hide(0, 0).float().mean() - 0.95) < 1e-6


def test_the_length_is_the_number_of_batches(
    dataset: ProductDataset, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    """The learning-rate schedule uses the length; with a too small one it would reach 0 too early."""
    features = extract(tmp_path, dataset, text_encoder)
    rows = np.tile(np.arange(10), 3)
    for sampler in (None, EpochSampler(np.ones(len(rows), dtype=np.int64), batch_size=7)):
        batches = FeatureBatches(features, rows, batch_size=8, sampler=sampler)
        assert len(batches) == len(list(batches)) == (4 if sampler is None else 5)
