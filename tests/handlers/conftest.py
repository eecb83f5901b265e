"""A tiny model in both its graphs, and an archive around it as the exporter makes one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import draw, encode, turned
from serving import LABELS, TITLES, Worker, b64, seal
from tiny_model import LETTERS, TinyCells, TinyHead, TinyTokens
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from export.archive import copy_handler
from export.graphs.to_onnx import export_onnx
from export.graphs.torchscript import export_torchscript
from handlers.product_serving.engines.torchscript import TorchScriptEngine
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.scores import score_batch
from handlers.product_serving.settings import Attribute, ProductSettings
from training.models import ProductClassifier
from training.models.lexical_encoder import LexicalEncoder


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece tokenizer trained on four titles."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TITLES, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="session")
def settings() -> ProductSettings:
    return ProductSettings(
        model="tiny",
        attributes=(Attribute(name="label", labels=LABELS, temperature=1.3, review_threshold=0.5),),
        image_size=32,
        max_tokens=16,
        lexical=True,
    )


@pytest.fixture(scope="session")
def preprocessor(settings: ProductSettings, tokenizer_file: Path) -> ProductPreprocessor:
    return ProductPreprocessor(settings, tokenizer_file)


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory, settings: ProductSettings, tokenizer_file: Path) -> Path:
    """A folder with ``model.pt`` and ``model.onnx`` of the same weights."""
    folder = tmp_path_factory.mktemp("graphs")
    torch.manual_seed(0)
    tokens = TinyTokens(Tokenizer.from_file(str(tokenizer_file)).get_vocab_size())
    model = ProductClassifier(TinyCells(), tokens, TinyHead(), LexicalEncoder(LETTERS)).eval()  # type: ignore[arg-type]
    export_torchscript(model, folder / "model.pt", image_size=settings.image_size)
    export_onnx(model, folder / "model.onnx", image_size=settings.image_size, max_tokens=settings.max_tokens)
    return folder


@pytest.fixture(scope="session")
def archive(
    tmp_path_factory: pytest.TempPathFactory,
    graphs: Path,
    tokenizer_file: Path,
    settings: ProductSettings,
    preprocessor: ProductPreprocessor,
) -> Path:
    """An unpacked archive; read it, never change it."""
    folder = tmp_path_factory.mktemp("archive")
    copy_handler(folder)
    for source in [*graphs.iterdir(), tokenizer_file]:
        shutil.copy(source, folder)
    (folder / "settings.json").write_text(settings.to_json())
    reference = TorchScriptEngine(graphs / "model.pt", device="cpu", threads=1)
    golden = []
    for image, text in [(encode(draw()), TITLES[0]), (None, TITLES[1]), (turned(6), None)]:
        product = preprocessor(image, text)
        scores = score_batch(reference, [product], settings=settings)[0]
        entry = {"image": None if image is None else b64(image), "text": text, "scores": scores.tolist()}
        golden.append({**entry, "labels": {settings.target: LABELS[int(np.argmax(scores))]}})
    seal(folder, model="tiny", version="1.0", attributes={settings.target: LABELS}, golden=golden)
    return folder


@pytest.fixture
def copy_archive(archive: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the archive to change; keyword arguments change its settings, and the checksums are written again."""

    def copy(*, review_threshold: float = 0.5, **changes: Any) -> Path:
        folder = tmp_path / f"archive-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(archive, folder)
        values = {**json.loads((folder / "settings.json").read_text()), **changes}
        values["attributes"][0]["review_threshold"] = review_threshold
        (folder / "settings.json").write_text(json.dumps(values))
        seal(folder)
        return folder

    return copy


@pytest.fixture(scope="session")
def worker(archive: Path) -> Worker:
    return Worker(archive)
