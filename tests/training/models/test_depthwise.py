"""The depthwise convolution has the values and gradients of PyTorch's, within the precision of bfloat16."""

import pytest
import torch
from torch import nn

from training.models.depthwise import DepthwiseConv2d


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_values_and_gradients_are_those_of_float32(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, kernel, stride=stride, groups=8, bias=False)
    ours = DepthwiseConv2d(plain, padding=nn.ZeroPad2d(kernel // 2))
    image = torch.randn(4, 8, 12, 12)
    plain_input, our_input = image.clone().requires_grad_(), image.clone().requires_grad_()
    expected = nn.functional.conv2d(plain_input, plain.weight, stride=stride, padding=kernel // 2, groups=8)
    weights = torch.randn_like(expected)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), [plain_input, plain.weight])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answer = ours(our_input)
    gradients = torch.autograd.grad((answer.float() * weights).sum(), [our_input, ours.weight])
    assert answer.dtype == torch.bfloat16
    for ours_is, expected_is in zip([answer, *gradients], [expected, *expected_gradients], strict=True):
        assert (ours_is.float() - expected_is).norm() < 0.01 * expected_is.norm()


def test_outside_of_autocast_it_is_the_convolution_itself() -> None:
    plain = nn.Conv2d(4, 4, 3, groups=4, bias=False)
    image = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(DepthwiseConv2d(plain, padding=nn.Identity())(image), plain(image), rtol=0, atol=0)


def test_state_dict_names_stay() -> None:
    plain = nn.Conv2d(4, 4, 3, groups=4, bias=False)
    assert list(DepthwiseConv2d(plain, padding=nn.Identity()).state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("other", [nn.Conv2d(4, 4, 3, bias=False), nn.Conv2d(4, 4, 3, groups=4)])
def test_other_convolutions_are_refused(other: nn.Conv2d) -> None:
    with pytest.raises(ValueError, match="depthwise and without bias"):
        DepthwiseConv2d(other, padding=nn.Identity())
