"""A tiny model in both its graphs, and an archive around it as the exporter makes one."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import draw, encode, turned
from serving import LABELS, TITLES, Worker, b64, seal
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn

import handlers
from handlers.backends import TorchScriptBackend
from handlers.preprocessing import ProductPreprocessor
from handlers.product_scores import score_batch
from handlers.settings import ProductSettings


class TinyClassifier(nn.Module):
    """Reads the colours of a picture's quarters and the words of a title, each only where it is present."""

    def __init__(self, words: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(words, 8)
        self.head = nn.Linear(12 + 8, len(LABELS))

    def forward(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        quarters = nn.functional.avg_pool2d(image.float() / 255, image.shape[-1] // 2).flatten(1)  # (B, 12)
        mask = attention_mask.unsqueeze(2).float()
        words = (self.words(input_ids) * mask).sum(1) / mask.sum(1)  # (B, 8)
        both = torch.cat([quarters * present[:, :1], words * present[:, 1:]], 1)
        logits: Tensor = self.head(both) * 3
        return logits


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
        model="tiny", target="label", labels=LABELS, image_size=32, max_tokens=16, temperature=1.3, review_threshold=0.5
    )


@pytest.fixture(scope="session")
def preprocessor(settings: ProductSettings, tokenizer_file: Path) -> ProductPreprocessor:
    return ProductPreprocessor(settings, tokenizer_file)


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory, settings: ProductSettings, tokenizer_file: Path) -> Path:
    """A folder with ``model.pt`` and ``model.onnx`` of the same weights."""
    folder = tmp_path_factory.mktemp("graphs")
    model = TinyClassifier(Tokenizer.from_file(str(tokenizer_file)).get_vocab_size()).eval()
    size = settings.image_size
    inputs = (
        torch.zeros(2, 3, size, size, dtype=torch.uint8),
        torch.ones(2, 5, dtype=torch.int64),
        torch.ones(2, 5, dtype=torch.int64),
        torch.ones(2, 2, dtype=torch.bool),
    )
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=settings.max_tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.14 deprecates TorchScript, and its exporter warns of itself
        torch.jit.trace(model, inputs).save(str(folder / "model.pt"))  # type: ignore[no-untyped-call]
        program = torch.onnx.export(
            model,
            inputs,
            dynamo=True,
            verbose=False,
            input_names=["image", "input_ids", "attention_mask", "present"],
            output_names=["logits"],
            dynamic_shapes=({0: batch}, {0: batch, 1: tokens}, {0: batch, 1: tokens}, {0: batch}),
        )
    assert program is not None
    program.save(str(folder / "model.onnx"), external_data=False)
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
    for source in [*Path(handlers.__path__[0]).glob("*.py"), *graphs.iterdir(), tokenizer_file]:
        shutil.copy(source, folder)
    (folder / "__init__.py").unlink()
    (folder / "settings.json").write_text(settings.to_json())
    reference = TorchScriptBackend(graphs / "model.pt", device="cpu", threads=1)
    golden = []
    for image, text in [(encode(draw()), TITLES[0]), (None, TITLES[1]), (turned(6), None)]:
        product = preprocessor(image, text)
        scores = score_batch(reference, [product], temperature=settings.temperature)[0]
        entry = {"image": None if image is None else b64(image), "text": text, "scores": scores.tolist()}
        golden.append({**entry, "label": LABELS[int(np.argmax(scores))], "score": float(scores.max())})
    seal(folder, model="tiny", version="1.0", golden=golden)
    return folder


@pytest.fixture
def copy_archive(archive: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the archive to be changed; keyword arguments change its settings, and it is sealed again."""

    def copy(**changes: Any) -> Path:
        folder = tmp_path / f"archive-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(archive, folder)
        values = {**json.loads((folder / "settings.json").read_text()), **changes}
        (folder / "settings.json").write_text(json.dumps(values))
        seal(folder)
        return folder

    return copy


@pytest.fixture(scope="session")
def worker(archive: Path) -> Worker:
    return Worker(archive)
