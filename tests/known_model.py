"""A model whose reasons are known to the last digit, as a real archive: colours and words vote for one of two classes.

Red and blue in a picture vote for shoes and bags, cell by cell; so do words in a title. The votes are added up and
divided by the temperature, so that each one is its own weight of evidence.
"""

import io
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn

from export.archive import pack, stage
from export.golden import select_golden_products
from export.graphs.to_onnx import export_onnx
from export.graphs.torchscript import export_torchscript
from export.verify import eager_forward
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import Attribute, ProductSettings
from training.models import ProductClassifier
from training.models.head import Head

BAG, SHOE = range(2)
LABELS = ("Küche: bags, large|small", "Shoes")  # one of them with all that parts the fields of a metric
SIZE, CELLS, TEMPERATURE, PICTURE_VOTES = 56, 7, 1.6, 12.0
VOTES = {"shoe": 2.0, "##s": 0.5, "bag": -2.0, "plain": -0.75, "red": 0.0, "runn": 0.25, "##ing": 0.25}
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


class KnownCells(nn.Module):
    """Red minus blue of each cell: (B, 49, 1)."""

    def forward(self, image: Tensor) -> Tensor:
        cells = nn.functional.avg_pool2d(image.float() / 255, SIZE // CELLS)  # (B, 3, 7, 7)
        return (cells[:, :1] - cells[:, 2:]).flatten(2).transpose(1, 2)


class KnownTokens(nn.Module):
    """The vote of each token: (B, T, 1)."""

    def __init__(self, votes: list[float]) -> None:
        super().__init__()
        self.register_buffer("votes", torch.tensor(votes)[:, None])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        votes: Tensor = nn.functional.embedding(input_ids, self.get_buffer("votes")) * attention_mask[:, :, None]
        return votes


class KnownHead(Head):
    """Adds all votes; a missing picture or title has none."""

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        picture = PICTURE_VOTES * image.mean((1, 2)) * present[:, 0]
        votes = picture + text.sum((1, 2)) * present[:, 1]
        return torch.stack([-votes / 2, votes / 2], dim=1)


def tokenizer() -> Tokenizer:
    """WordPiece of a dozen pieces."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *VOTES]
    words = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return words


def picture(colour: tuple[int, int, int], quarter: int | None = None) -> bytes:
    """A PNG of one colour, or white but for one quarter: 0 and 1 the upper ones, 2 and 3 the lower ones."""
    half = SIZE // 2
    canvas = Image.new("RGB", (SIZE, SIZE), colour if quarter is None else WHITE)
    if quarter is not None:
        left, top = half * (quarter % 2), half * (quarter // 2)
        canvas.paste(colour, (left, top, left + half, top + half))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def quarter_votes(quarter: int) -> NDArray[np.float64]:
    """How much of each of the 7 x 7 cells lies in a quarter of the square."""
    share = np.array([1, 1, 1, 0.5, 0, 0, 0])
    across, down = (share, share[::-1])[quarter % 2], (share, share[::-1])[quarter // 2]
    return np.outer(down, across)


def build_known_archive(store: Path, *, model: str = "known", version: str = "1.0") -> Path:
    """Export, stage and pack the model; its archive in the store."""
    classifier = ProductClassifier(
        KnownCells(),  # type: ignore[arg-type]
        KnownTokens([0.0] * 4 + list(VOTES.values())),  # type: ignore[arg-type]
        KnownHead(),
    ).eval()
    settings = ProductSettings(
        model=model,
        attributes=(Attribute(name="label", labels=LABELS, temperature=TEMPERATURE),),
        image_size=SIZE,
        max_tokens=16,
    )
    with tempfile.TemporaryDirectory() as temporary:
        run, folder = Path(temporary) / "run", Path(temporary) / "archive"
        run.mkdir(), folder.mkdir()
        tokenizer().save(str(run / "tokenizer.json"))
        export_torchscript(classifier, folder / "model.pt", image_size=SIZE)
        export_onnx(classifier, folder / "model.onnx", image_size=SIZE, max_tokens=settings.max_tokens)
        pairs = [(picture(RED, 0), "Red Shoe"), (picture(BLUE, 3), "Bag")]
        preprocessor = ProductPreprocessor(settings, run / "tokenizer.json")
        golden = select_golden_products(
            pairs, eager_forward(classifier), truth=["shoe", "bag"], preprocessor=preprocessor, settings=settings
        )
        stage(folder, run_model=run, settings=settings, manifest={"attributes": {"label": LABELS}, "golden": golden})
        return pack(folder, model=model, version=version, store=store)
