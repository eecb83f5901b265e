"""The agreement of picture and title: certain that they are the same, certain that they differ, unsure."""

import math

import pytest
import torch

from training.models.agreement import log_agreement

SURE = 30.0


def logits(*values: float) -> torch.Tensor:
    return torch.tensor([values])


@pytest.mark.parametrize(
    ("image", "text", "expected"),
    [
        (logits(SURE, 0, 0), logits(SURE, 0, 0), 0.0),
        (logits(SURE, 0, 0), logits(0, SURE, 0), -SURE + math.log(2)),
        (logits(0, 0, 0), logits(0, SURE, 0), -math.log(3)),
        (logits(0, 0, 0), logits(0, 0, 0), -math.log(3)),
    ],
)
def test_it_is_the_chance_of_the_same_class(image: torch.Tensor, text: torch.Tensor, expected: float) -> None:
    assert log_agreement({"image": image, "text": text}, 3).item() == pytest.approx(expected, abs=1e-4)


def test_two_models_of_one_title_share_its_vote() -> None:
    image, text, lexical = logits(4, 0, 0), logits(0, 4, 0), logits(4, 0, 0)
    divided = log_agreement({"image": image, "text": text, "lexical": lexical}, 3)
    one, other = (log_agreement({"image": image, "text": vote}, 3) for vote in (text, lexical))
    assert one < divided < other


def test_only_the_main_attribute_counts() -> None:
    image, text = logits(SURE, 0, SURE, 0), logits(SURE, 0, 0, SURE)
    assert log_agreement({"image": image, "text": text}, 2).item() == pytest.approx(0, abs=1e-4)
