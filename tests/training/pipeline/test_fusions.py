"""The weight of a fusion's correction for products without a picture or title, chosen on the validation part."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from handlers.product_serving.settings import Attribute, ProductSettings
from training.data.attributes import MISSING
from training.features.batches import Features
from training.models.head import Head
from training.models.residual import ResidualFusion
from training.pipeline.fusions import weigh_corrections
from training.system.device import choose_device

PRODUCTS, VALIDATION = 60, 40


class Reads(Head):
    """Logits that lie in the mean cell, or in the first token."""

    def __init__(self, modality: str, part: slice) -> None:
        super().__init__()
        self.modality = modality
        self.part = part

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        return (image.mean(1) if self.modality == "image" else text[:, 0])[:, self.part]


class Corrects(Head):
    """The correction of a product with a picture only, and of others."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(1, 1)

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        return torch.where(present[:, 1:], text[:, 0, 4:], image.mean(1)[:, 4:])


def logits(right: np.ndarray, truth: np.ndarray, *, by: float) -> np.ndarray:
    """(N, 2): in favour of the true class where it is told rightly, and of the other one elsewhere."""
    return by * np.eye(2)[np.where(right, truth, 1 - truth)]


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (PRODUCTS, 2))


def weighed(truth: np.ndarray, *, present: np.ndarray | None = None) -> ResidualFusion:
    """Two attributes of two classes; what pictures say is right for 3 of 4, titles 2 of 4 of the first attribute.

    A correction of 2 helps the first attribute's titles, which say it by 1; it harms their pictures. Of the second
    attribute it helps pictures by a quarter already, where all of it would harm.
    """
    number, always = np.arange(PRODUCTS), np.ones(PRODUCTS, dtype=bool)
    first, second = truth.T.clip(min=0)
    picture = [logits(number % 4 > 0, first, by=1), logits(number % 4 > 0, second, by=1)]
    title = [logits(number % 4 > 1, first, by=1), logits(always, second, by=1)]
    of_picture = [logits(number % 4 < 2, first, by=2), logits(number % 4 == 0, second, by=1.5)]
    of_title = [logits(always, first, by=2), logits(always, second, by=2)]
    of_picture[1][number % 4 == 0] *= 4  # 6 for what is wrong, 1.5 against what is right
    image = np.column_stack([*picture, *of_picture]).astype(np.float16)[:, None]
    text = np.column_stack([*title, *of_title]).astype(np.float16)
    places, ones = np.arange(PRODUCTS)[None], np.ones((1, PRODUCTS), dtype=np.int64)
    there = np.ones((PRODUCTS, 2), dtype=bool) if present is None else present
    heads = {name: Reads(name, slice(4)) for name in ("image", "text")}
    head = ResidualFusion(heads, Corrects(), sizes=(2, 2))
    nothing = np.zeros((1, 0), np.float32)
    weigh_corrections(run(), head, Features(image, text, places, ones, nothing, 0 * places, there, truth))
    return head


def run() -> Any:
    settings = ProductSettings(
        model="early",
        attributes=(Attribute(name="a", labels=("0", "1")), Attribute(name="b", labels=("x", "y"))),
    )
    rows = np.arange(PRODUCTS)
    data = SimpleNamespace(
        settings=settings,
        held_out=rows,
        rows={"validation": rows[:VALIDATION]}.__getitem__,
    )
    return SimpleNamespace(data=data, device=choose_device("fp32"))


def test_a_correction_counts_as_far_as_it_makes_products_right(truth: np.ndarray) -> None:
    of_picture, of_title = weighed(truth).one_modality_shares.tolist()
    assert of_picture[:2] == [0, 0]  # half of the products would turn wrong
    assert of_picture[2:] == [0.25, 0.25]  # 6 * .25 mends what is wrong, and 1.5 * .75 would break what is right
    assert of_title[:2] == [0.75, 0.75]  # 2 * .75 is more than 1, 2 * .5 is not
    assert of_title[2:] == [0, 0]  # all is right without it


def test_products_without_a_value_do_not_tell(truth: np.ndarray) -> None:
    truth[:, 0] = MISSING
    assert weighed(truth).one_modality_shares.tolist() == [[0, 0, 0.25, 0.25], [0, 0, 0, 0]]


def test_a_modality_that_no_product_has_gets_no_correction(truth: np.ndarray) -> None:
    pictured = np.tile([True, False], (PRODUCTS, 1))
    of_picture, of_title = weighed(truth, present=pictured).one_modality_shares.tolist()
    assert of_picture == [0, 0, 0.25, 0.25] and of_title == [0, 0, 0, 0]
