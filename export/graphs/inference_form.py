"""Prepare a trained model for export.

Batch norms are folded into convolutions, and matrices get the memory layout of ONNX. TorchScript and ONNX then contain
the same bytes, so the archive can store them once. The lexical tower's embeddings become int8.

The image backbone casts its input to the type of its weights. In fp32 this changes nothing. If the loaded graph's
weights are cast to half precision, the graph computes in half precision.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.models import ProductClassifier
from training.models.depthwise import DepthwiseConv2d
from training.models.lexical_encoder import LexicalEncoder, row_scales, shares


def inference_form(model: ProductClassifier, example: tuple[Tensor, ...]) -> ProductClassifier:
    """Return a copy with the same answers except for rounding.

    Args:
        model: in evaluation mode, on the CPU; not changed.
        example: example inputs of the graph.
    """
    model = copy.deepcopy(model).eval()
    for name, module in list(model.named_modules()):
        if isinstance(module, DepthwiseConv2d):
            _replace(model, name, module.plain().eval())
    for convolution, norm in _pairs(model, example):
        conv, batch_norm = model.get_submodule(convolution), model.get_submodule(norm)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(batch_norm, nn.BatchNorm2d)
        _replace(model, convolution, fuse_conv_bn_eval(conv, batch_norm))
        _replace(model, norm, nn.Identity())
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = module.weight.data.t().contiguous().t()
    if model.image_encoder is not None:
        model.image_encoder.backbone = CastToWeightType(model.image_encoder.backbone)
    if model.lexical_encoder is not None:
        _replace(model, "lexical_encoder", RoundedLexicalEncoder(model.lexical_encoder))
    return model


class CastToWeightType(nn.Module):
    """Casts a module's input to the current type of its weights, also after tracing.

    Args:
        module: has weights and one input.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        """Apply the module to the cast input."""
        answer: Tensor = self.module(pixels.type_as(next(self.module.parameters())))
        return answer


class RoundedLexicalEncoder(nn.Module):
    """The lexical encoder with int8 embeddings, a quarter of the size; the answers are the same.

    Args:
        encoder: its weights were rounded by :meth:`training.models.lexical_encoder.LexicalEncoder.round_weights`.
    """

    embedding: Tensor
    scale: Tensor
    importance: Tensor

    def __init__(self, encoder: LexicalEncoder) -> None:
        super().__init__()
        self.width = encoder.width
        weights = encoder.embedding.weight.detach()
        scale = row_scales(weights)
        self.register_buffer("embedding", (weights / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("importance", encoder.importance.weight.detach())

    def forward(self, ngrams: Tensor) -> Tensor:
        """As :meth:`training.models.lexical_encoder.LexicalEncoder.forward`."""
        embedded = self.embedding[ngrams].float() * self.scale[ngrams]  # (B, G, D)
        return (embedded * shares(self.importance[ngrams], ngrams)[:, :, None]).sum(1)


def _pairs(model: ProductClassifier, example: tuple[Tensor, ...]) -> list[tuple[str, str]]:
    """Run the model to find each convolution and the batch norm that reads its output; return their names."""
    answers: dict[int, tuple[str, Tensor]] = {}  # keeps the tensors alive, so that their ids stay unique
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
