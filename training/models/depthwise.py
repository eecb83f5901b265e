"""Depthwise convolutions with fast gradients on a CPU in bfloat16.

PyTorch 2.14 has no fast CPU kernel in bfloat16 for two gradients of a depthwise convolution: by the input if the stride
is 2, and by the weights if the kernel is 5x5. They take 90 % of a training step of EfficientNet-Lite0. At 96 pixels and
batch 64 a layer takes 126 to 215 ms and 39 to 139 ms; in float32 it takes 1 to 32 ms and 8 to 18 ms (one thread of an
AMD EPYC with AVX512-BF16, November 2026). This module computes these two in float32 and the rest in bfloat16.
"""

from typing import Any

import torch
from torch import Tensor, nn


class DepthwiseConv2d(nn.Module):
    """A depthwise convolution without bias; it shares the weights of a given one.

    Args:
        convolution: its ``groups`` equal its channels. Its own padding is ignored.
        padding: applied before the convolution.

    Raises:
        ValueError: ``convolution`` is not depthwise or has a bias.
    """

    def __init__(self, convolution: nn.Conv2d, *, padding: nn.Module) -> None:
        super().__init__()
        if convolution.groups != convolution.in_channels or convolution.bias is not None:
            raise ValueError(f"convolution must be depthwise and without bias, got {convolution}")
        self.weight = convolution.weight
        self.stride = (int(convolution.stride[0]), int(convolution.stride[1]))
        self.padding = padding

    def plain(self) -> nn.Sequential:
        """An equivalent module of standard PyTorch layers, with the same weights."""
        channels, _, *kernel = self.weight.shape
        convolution = nn.Conv2d(channels, channels, kernel, stride=self.stride, groups=channels, bias=False)  # type: ignore[arg-type]
        convolution.weight = self.weight
        return nn.Sequential(self.padding, convolution)

    def forward(self, image: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, D, h, w)."""
        padded = self.padding(image)
        if torch.is_grad_enabled() and padded.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            answer: Tensor = _Convolution.apply(padded, self.weight, self.stride)
            return answer
        return nn.functional.conv2d(padded, self.weight, stride=self.stride, groups=len(self.weight))


class _Convolution(torch.autograd.Function):
    """The convolution in the autocast's precision; each gradient in the faster precision."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
        low = torch.get_autocast_dtype("cpu")
        ctx.save_for_backward(image.to(low), weight)
        ctx.stride = stride
        return nn.functional.conv2d(image.to(low), weight.to(low), stride=stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        image, weight = ctx.saved_tensors
        by_image = by_weight = None
        if ctx.needs_input_grad[0]:
            precision = image.dtype if max(ctx.stride) == 1 else torch.float32
            # Only the shape and the layout are read.
            shape = torch.empty_like(image, dtype=precision)
            by_image = _gradients(gradient.to(precision), shape, weight.to(precision), ctx.stride, (True, False))[0]
            by_image = by_image.to(image.dtype)
        if ctx.needs_input_grad[1]:
            precision = image.dtype if max(weight.shape[2:]) <= 3 else torch.float32
            operands = gradient.to(precision), image.to(precision), weight.to(precision)
            by_weight = _gradients(*operands, ctx.stride, (False, True))[1].to(weight.dtype)
        return by_image, by_weight, None


def _gradients(
    gradient: Tensor, image: Tensor, weight: Tensor, stride: tuple[int, int], wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Gradients by the image and by the weights; one that is not wanted is empty."""
    padding, dilation = (0, 0), (1, 1)
    by_image, by_weight, _ = torch.ops.aten.convolution_backward(
        gradient, image, weight, None, stride, padding, dilation, False, (0, 0), len(weight), (*wanted, False)
    )
    return by_image, by_weight
