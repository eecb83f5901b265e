"""The weights of two models depend on their certainty, not on the predicted class."""

import pytest
import torch

from training.models.residual import CertaintyWeights

SIZES = (3, 2)


@pytest.fixture
def weights() -> CertaintyWeights:
    torch.manual_seed(0)
    module = CertaintyWeights(SIZES)
    torch.nn.init.normal_(module.network[-1].weight, std=0.2)
    return module.eval()


def test_untrained_both_count_alike() -> None:
    of_image, of_text = CertaintyWeights(SIZES)(torch.randn(4, 5), torch.randn(4, 5))
    assert of_image.tolist() == of_text.tolist() == [[1.0] * 5] * 4


def test_an_attribute_has_one_weight_for_all_its_classes(weights: CertaintyWeights) -> None:
    for of_modality in weights(torch.randn(4, 5), torch.randn(4, 5)):
        assert torch.equal(of_modality, of_modality[:, [0, 0, 0, 3, 3]])
        assert (of_modality[:, 0] != of_modality[:, 3]).all()


def test_weights_do_not_depend_on_the_class(weights: CertaintyWeights) -> None:
    image, text = torch.randn(4, 5), torch.randn(4, 5)
    of_image, of_text = weights(image, text)
    elsewhere = weights(image[:, [2, 0, 1, 4, 3]], text[:, [1, 2, 0, 3, 4]])
    torch.testing.assert_close(elsewhere, (of_image, of_text))


def test_weights_depend_on_the_certainty(weights: CertaintyWeights) -> None:
    image, text = torch.randn(4, 5), torch.randn(4, 5)
    plain = weights(image, text)
    for changed in (weights(9 * image, text), weights(image, 9 * text)):
        assert not torch.allclose(changed[0], plain[0]) and not torch.allclose(changed[1], plain[1])


@pytest.mark.parametrize("sure", [1e4, float(torch.finfo(torch.float32).max)])
def test_weights_are_finite_for_certain_models(weights: CertaintyWeights, sure: float) -> None:
    opinion = torch.tensor([[sure, 0.0, 0.0, sure, 0.0]], requires_grad=True)
    of_image, of_text = weights(opinion, torch.zeros(1, 5))
    (of_image.sum() + of_text.sum()).backward()
    assert of_image.isfinite().all() and of_text.isfinite().all() and opinion.grad is not None
    assert opinion.grad.isfinite().all()


def test_weights_stay_within_their_limits(weights: CertaintyWeights) -> None:
    torch.nn.init.constant_(weights.network[-1].bias, -1e6)
    of_image, _ = weights(torch.zeros(1, 5), torch.zeros(1, 5))
    torch.testing.assert_close(of_image, torch.full((1, 5), 0.0821), atol=1e-4, rtol=0)
