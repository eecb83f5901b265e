"""Encoders: shapes, checked weights, and errors that list the choices."""

from pathlib import Path

import pytest
import torch
from small_tower import REAL_TOWERS

from training.models import encoders
from training.models.encoders import (
    build_image_encoder,
    build_text_encoder,
    describe_text_encoder,
    empty_text_encoder,
    tokenizer_json,
)
from training.models.weights.weights_file import WeightsError


@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("efficientnet_lite0", 1280)])
def test_a_picture_becomes_seven_by_seven_cells(name: str, width: int) -> None:
    encoder = build_image_encoder(name, "none").eval()
    with torch.no_grad():
        cells = encoder(torch.zeros(2, 3, 224, 224, dtype=torch.uint8))
    assert cells.shape == (2, 49, width) and encoder.width == width


def test_an_unknown_encoder_lists_the_known() -> None:
    with pytest.raises(WeightsError, match=r"\['efficientnet_lite0', 'resnet18'"):
        build_image_encoder("resnet19", "imagenet")


def test_image_weights_come_from_a_file(tmp_path: Path) -> None:
    import torchvision  # noqa: PLC0415

    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    encoder = build_image_encoder("resnet18", str(tmp_path / "weights.pth"))
    torch.testing.assert_close(encoder.backbone[0].weight, network.conv1.weight)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_a_missing_file_lists_the_choices(name: str) -> None:
    with pytest.raises(WeightsError, match="--image-weights none"):
        build_image_encoder(name, "nowhere.pth")


def test_weights_that_cannot_be_downloaded_list_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **keywords: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    with pytest.raises(WeightsError, match="efficientnet_lite0"):
        build_image_encoder("resnet18", "imagenet")


def test_swapped_weights_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "MINILM_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="sha256"):
        build_text_encoder("minilm")


def test_a_folder_without_weights_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    with pytest.raises(WeightsError, match="--text-encoder minilm"):
        build_text_encoder(str(tmp_path))
    with pytest.raises(WeightsError, match=r"tokenizer\.json"):
        tokenizer_json(str(tmp_path))


def test_a_text_encoder_is_rebuilt_from_its_description(tiny_bert: Path) -> None:
    encoder = build_text_encoder(str(tiny_bert)).eval()
    rebuilt = empty_text_encoder(describe_text_encoder(encoder)).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    ids = torch.tensor([[2, 7, 9, 3]])
    torch.testing.assert_close(rebuilt(ids, torch.ones_like(ids)), encoder(ids, torch.ones_like(ids)))


def test_padding_does_not_reach_the_other_tokens(tiny_bert: Path) -> None:
    encoder = build_text_encoder(str(tiny_bert)).eval()
    alone = torch.tensor([[2, 7, 9, 3]])
    padded, mask = torch.tensor([[2, 7, 9, 3, 5, 5]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
    torch.testing.assert_close(encoder(padded, mask)[:, :4], encoder(alone, torch.ones_like(alone)))


def test_minilm_reads_a_title() -> None:
    encoder = build_text_encoder("minilm").eval()
    ids = torch.tensor([[101, 2417, 6847, 102]])
    with torch.no_grad():
        assert encoder(ids, torch.ones_like(ids)).shape == (1, 4, 384)


@pytest.mark.parametrize(("weights", "moves"), [("imagenet", False), ("none", True)])
def test_pretrained_statistics_stay_in_training(weights: str, moves: bool) -> None:
    encoder = build_image_encoder("efficientnet_lite0", weights).train()
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers() if "running_mean" in name}
    encoder(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert before and encoder.training
    assert any((buffer != before[name]).any() for name, buffer in encoder.named_buffers() if name in before) == moves


def test_batch_statistics_are_followed_within_some_hundred_steps() -> None:
    encoder = build_image_encoder("efficientnet_lite0", "imagenet")
    encoder.use_batch_statistics()
    encoder.train()
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(norm.training and (1 - (norm.momentum or 0)) ** 200 < 1e-6 for norm in norms)


@pytest.mark.parametrize("name", REAL_TOWERS)
def test_a_frozen_stem_reaches_a_stride_of_four_and_is_counted_once(name: str) -> None:
    encoder = build_image_encoder(name, "none")
    weights = sum(value.numel() for value in encoder.parameters())
    encoder.freeze_stem()
    frozen = sum(value.numel() for value in encoder.parameters() if not value.requires_grad)
    assert 0 < frozen < 0.05 * weights
    assert len({id(value) for value in encoder.parameters()}) == len(list(encoder.parameters()))
    cells: list[int] = []
    last = encoder._stem[-1]
    last.register_forward_hook(lambda module, inputs, output: cells.append(output.shape[-1]))
    encoder(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert cells == [16]
