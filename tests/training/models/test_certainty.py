"""The weights of the single models depend on their certainty, not on the predicted class."""

import pytest
import torch

from training.models.residual import CertaintyWeights

SIZES = (3, 2)


@pytest.fixture
def weights() -> CertaintyWeights:
    torch.manual_seed(0)
    module = CertaintyWeights(SIZES, [1.0, 1.0])
    torch.nn.init.normal_(module.network[-1].weight, std=0.2)
    return module.eval()


def weighed(weights: CertaintyWeights, image: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return weights([image, text], torch.ones(len(image), 2, dtype=torch.bool)).unbind(1)


def test_untrained_they_are_as_they_start() -> None:
    module = CertaintyWeights(SIZES, [1.0, 0.5, 0.5])
    found = module([torch.randn(4, 5) for _ in range(3)], torch.ones(4, 3, dtype=torch.bool))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5, 0.5])[None, :, None].expand(4, 3, 5))


def test_an_attribute_has_one_weight_for_all_its_classes(weights: CertaintyWeights) -> None:
    for of_modality in weighed(weights, torch.randn(4, 5), torch.randn(4, 5)):
        assert torch.equal(of_modality, of_modality[:, [0, 0, 0, 3, 3]])
        assert (of_modality[:, 0] != of_modality[:, 3]).all()


def test_weights_do_not_depend_on_the_class(weights: CertaintyWeights) -> None:
    image, text = torch.randn(4, 5), torch.randn(4, 5)
    elsewhere = weighed(weights, image[:, [2, 0, 1, 4, 3]], text[:, [1, 2, 0, 3, 4]])
    torch.testing.assert_close(elsewhere, weighed(weights, image, text))


def test_weights_depend_on_the_certainty(weights: CertaintyWeights) -> None:
    image, text = torch.randn(4, 5), torch.randn(4, 5)
    plain = weighed(weights, image, text)
    for changed in (weighed(weights, 9 * image, text), weighed(weights, image, 9 * text)):
        assert not torch.allclose(changed[0], plain[0]) and not torch.allclose(changed[1], plain[1])


def test_a_missing_models_logits_are_not_read(weights: CertaintyWeights) -> None:
    there = torch.tensor([[True, False]]).expand(4, 2)
    image, text = torch.randn(4, 5), torch.randn(4, 5)
    torch.testing.assert_close(weights([image, text], there), weights([image, 9 * text], there))
    assert not torch.allclose(weights([image, text], there), weights([9 * image, text], there))


@pytest.mark.parametrize("sure", [1e4, float(torch.finfo(torch.float32).max)])
def test_weights_are_finite_for_certain_models(weights: CertaintyWeights, sure: float) -> None:
    opinion = torch.tensor([[sure, 0.0, 0.0, sure, 0.0]], requires_grad=True)
    found = torch.stack(weighed(weights, opinion, torch.zeros(1, 5)))
    found.sum().backward()
    assert found.isfinite().all() and opinion.grad is not None
    assert opinion.grad.isfinite().all()


def test_weights_stay_within_their_limits(weights: CertaintyWeights) -> None:
    torch.nn.init.constant_(weights.network[-1].bias, -1e6)
    of_image, _ = weighed(weights, torch.zeros(1, 5), torch.zeros(1, 5))
    torch.testing.assert_close(of_image, torch.full((1, 5), 0.0821), atol=1e-4, rtol=0)
