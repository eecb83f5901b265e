"""A trained model in the form in which it is exported: batch norms folded into convolutions, matrices laid out as ONNX
multiplies by them. TorchScript and ONNX then hold the same bytes, and the archive can hold them once.

The picture's backbone takes its input in the type of its own weights. In fp32 that changes nothing; whoever loads the
traced graph and casts its weights to half precision gets a graph that computes in half precision.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.models import ProductClassifier
from training.models.depthwise import DepthwiseConv2d


def inference_form(model: ProductClassifier, example: tuple[Tensor, Tensor, Tensor, Tensor]) -> ProductClassifier:
    """A copy that gives the same answers, but for rounding.

    Args:
        model: in evaluation mode, on the CPU; it stays as it is.
        example: inputs of the graph.
    """
    model = copy.deepcopy(model).eval()
    for name, module in list(model.named_modules()):
        if isinstance(module, DepthwiseConv2d):
            _replace(model, name, module.plain().eval())
    for convolution, norm in _pairs(model, example):
        read, reader = model.get_submodule(convolution), model.get_submodule(norm)
        assert isinstance(read, nn.Conv2d)
        assert isinstance(reader, nn.BatchNorm2d)
        _replace(model, convolution, fuse_conv_bn_eval(read, reader))
        _replace(model, norm, nn.Identity())
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = module.weight.data.t().contiguous().t()
    if model.image_encoder is not None:
        model.image_encoder.backbone = InTypeOfWeights(model.image_encoder.backbone)
    return model


class InTypeOfWeights(nn.Module):
    """A module whose input is cast to the type that its weights have when it is called, in a trace of it too.

    Args:
        module: has weights, and one input.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        """As ``module``."""
        answer: Tensor = self.module(pixels.type_as(next(self.module.parameters())))
        return answer


def _pairs(model: ProductClassifier, example: tuple[Tensor, Tensor, Tensor, Tensor]) -> list[tuple[str, str]]:
    """Names of each convolution and the batch norm that reads it, found by letting the model answer."""
    answers: dict[int, tuple[str, Tensor]] = {}  # holds the tensors, so that no other one gets their id
    pairs: list[tuple[str, str]] = []

    def keep(name: str) -> Any:
        return lambda module, inputs, output: answers.update({id(output): (name, output)})

    def pair(name: str) -> Any:
        return lambda module, inputs: (
            pairs.append((answers[id(inputs[0])][0], name)) if id(inputs[0]) in answers else None
        )

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(keep(name)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(pair(name)))
    with torch.no_grad():
        model(*example)
    for hook in hooks:
        hook.remove()
    return pairs


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, module)
