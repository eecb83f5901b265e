"""A new fusion is a file and a line in the registry: the run trains, calibrates and reports it without knowing it."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.models import HEADS, MODELS
from training.models.head import Head
from training.models.late import LateFusion
from training.models.residual import CorrectionHead
from training.pipeline.training_run import train_run
from training.reporting.report import write_report
from training.run.checkpoint import load_model
from training.run.options import TrainOptions


class Product(CorrectionHead):
    """A correction that attends: to nothing for half of each cell, to the title's first word for the other half."""

    attends = True

    def __init__(self, *, image_width: int, text_width: int, classes: int, lexical_width: int = 0) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(image_width, 8), nn.Linear(text_width, 8)
        self.classifier = nn.Linear(8, classes)

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        logits: Tensor = self.classifier(self.image(image.mean(1)) * self.text(text[:, 0]))
        return logits

    def attention_weights(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        weights = torch.zeros(*image.shape[:2], 1 + text.shape[1])
        weights[:, :, :2] = 0.5
        return weights


class Plain(Head):
    """A fusion that stands on no single model: one linear layer over both."""

    def __init__(self, *, image_width: int, text_width: int, classes: int, lexical_width: int = 0) -> None:
        super().__init__()
        self.last = nn.Linear(image_width + text_width, classes)

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        logits: Tensor = self.last(torch.cat([image.mean(1) * present[:, :1], text[:, 0] * present[:, 1:]], dim=1))
        return logits


class Average(LateFusion):
    """Weighed on the validation part, as late fusion is."""


NEW = {"product": Product, "plain": Plain, "average": Average}


@pytest.mark.slow
def test_a_new_fusion_needs_nothing_but_its_class(
    options: Callable[..., TrainOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, head in NEW.items():
        monkeypatch.setitem(HEADS, name, head)
    run = train_run(options(models=tuple(NEW)))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["models"] == ["image", "text", "lexical", *NEW]
    for name in NEW:
        model, settings = load_model(run / name)
        assert isinstance(model.head, Head) and settings.modalities == ("image", "text")
    with np.load(run / "product" / "attention.npz") as saved:
        assert saved["tokens"][0, 0] == "[none]" and saved["weights"].sum(2) == pytest.approx(1)
    assert not (run / "plain" / "attention.npz").exists()
    assert "plain" in write_report([run]).read_text(encoding="utf-8")


def test_what_the_hooks_say_of_the_models_that_come_along() -> None:
    sizes = {"image_width": 6, "text_width": 4, "lexical_width": 5, "sizes": (3,)}
    heads = {name: head.build(**sizes) for name, head in HEADS.items()}
    assert [name for name, head in heads.items() if head.output_bias() is None] == ["late"]
    assert [name for name in HEADS if HEADS[name].from_validation] == ["late"]
    assert [name for name, head in heads.items() if head.attends] == ["intermediate"]
    corrects = [name for name, head in heads.items() if head.correction_shares() is not None]
    assert corrects == ["early", "intermediate", "gated", "single_key"]
    assert [HEADS[name].modalities for name in MODELS][:4] == [("image",), ("text",), ("text",), ("image", "text")]
