"""Small things that train in seconds: a BERT of one layer, a drawn catalogue, the options of a run on both."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_tower  # noqa: F401 - training then knows it by name
import torch
from known_model import build_known_archive
from strict_skips import pytest_addoption, pytest_runtest_makereport  # noqa: F401 - pytest finds its hooks here
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel

from export.build import build_archive
from export.run_products import read_run_products
from training.catalog.drawn import write_sample_catalog
from training.catalog.reading import CatalogSource
from training.pipeline.training_run import train_run
from training.run.options import TrainOptions

# A shell that puts the tests into its background starts them deaf to Ctrl-C, and so would be every process they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def drawn_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CSV of a small built-in catalogue."""
    return write_sample_catalog(tmp_path_factory.mktemp("catalogue") / "drawn", per_class=10, seed=0)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory, drawn_catalogue: Path) -> Path:
    """A folder with a one-layer BERT of random weights and a WordPiece tokenizer trained on the drawn titles."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.train_from_iterator(drawn_catalogue.read_text(encoding="utf-8").splitlines(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def run_folders() -> list[Path]:
    """The folders of runs that may be deleted."""
    return []


@pytest.fixture(scope="module", autouse=True)
def runs_are_deleted(run_folders: list[Path]) -> Iterator[None]:
    """A run holds hundreds of megabytes; all runs of the suite together would fill a small disk."""
    yield
    while run_folders:
        shutil.rmtree(run_folders.pop(), ignore_errors=True)


@pytest.fixture(scope="session")
def options(
    drawn_catalogue: Path, tiny_bert: Path, run_folders: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., TrainOptions]:
    """Options of a run of a few seconds; keyword arguments replace some. Its folder goes after the test's file."""

    def build(**changes: Any) -> TrainOptions:
        folder = tmp_path_factory.mktemp("runs")
        run_folders.append(folder)
        small: dict[str, Any] = {
            "source": CatalogSource(path=str(drawn_catalogue)),
            "out": folder / "run",
            "image_encoder": "small",
            "text_encoder": str(tiny_bert),
            "image_size": 64,
            "image_epochs": 0,
            "text_epochs": 1,
            "lexical_epochs": 1,
            "head_epochs": 3,
            "fusion_epochs": 3,
            "text_rate": 1e-3,
            "batch_size": 16,
            "precision": "fp32",
            "processes": 0,
        }
        return TrainOptions(**{**small, **changes})

    return build


@pytest.fixture(scope="session")
def trained_run(options: Callable[..., TrainOptions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run folder of all five models; read it, never change it."""
    return train_run(options(out=tmp_path_factory.mktemp("trained") / "run"))


@pytest.fixture(scope="session")
def intermediate_archive(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1.0 of that run's intermediate model, with all engines that pass here; alone in a store."""
    test = read_run_products(trained_run, limit=None)
    train = read_run_products(trained_run, limit=8, part="train")
    store = tmp_path_factory.mktemp("trained-store")
    return build_archive(trained_run, "intermediate", version="1.0", store=store, test=test, train=train).archive


@pytest.fixture(scope="session")
def known_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a model whose reasons are known; see ``known_model.py``."""
    return build_known_archive(tmp_path_factory.mktemp("known-store"))


@pytest.fixture
def read_json() -> Callable[[Path], Any]:
    """Parse a JSON file."""
    return lambda path: json.loads(path.read_text(encoding="utf-8"))
