"""Files appear whole or not at all, and a model read back is the model that was written."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from handlers.product_serving.settings import Attribute, ProductSettings
from training.models import HEADS, MODELS, Encoders, ProductClassifier, build_classifier, build_head
from training.models.encoders import build_image_encoder, build_text_encoder
from training.models.lexical_encoder import LexicalEncoder
from training.run.checkpoint import RunError, load_model, save_model
from training.system.storage import atomic_path, write_text


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(OSError, match="disk full"), atomic_path(path) as partial:
        partial.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_every_file_is_as_open_to_others_as_the_user_has_it(tmp_path: Path, mask: int) -> None:
    """Libraries that write for the owner alone make no exception."""
    before = os.umask(mask)
    try:
        with atomic_path(tmp_path / "model.safetensors") as partial:
            save_file({"weight": torch.zeros(1)}, partial)
        write_text(tmp_path / "settings.json", "{}")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~mask}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_is_read_back_as_it_was(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    towers = HEADS[name].towers
    encoders = Encoders(
        build_image_encoder("resnet18", "none") if "image" in towers else None,
        build_text_encoder(str(tiny_bert)) if "text" in towers else None,
        LexicalEncoder(8) if "lexical" in towers else None,
    )
    model = build_classifier(name, encoders, sizes=[3]).eval()
    settings = ProductSettings(
        model=name, attributes=(Attribute(name="label", labels=("a", "b", "c"), temperature=1.5),)
    )
    save_model(tmp_path, model, settings=settings, image_encoder="resnet18", tokenizer="{}")
    loaded, loaded_settings = load_model(tmp_path)
    assert loaded_settings == settings
    inputs = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), torch.tensor([[2, 5, 3]] * 2)
    mask, present = torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 2, dtype=torch.bool)
    ngrams = torch.randint(1, 100, (2, 7))
    with torch.no_grad():
        torch.testing.assert_close(loaded(*inputs, mask, present, ngrams), model(*inputs, mask, present, ngrams))


def test_a_folder_without_settings_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no settings\.json"):
        load_model(tmp_path)


def test_settings_of_another_version_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"backend": "auto"}')
    with pytest.raises(RunError, match=r"has settings \['backend'\] of another version .* train the run again"):
        load_model(tmp_path)


def test_weights_of_another_version_say_what_to_do(tiny_bert: Path, tmp_path: Path) -> None:
    head = build_head("text", image_width=0, text_width=32, sizes=[3])
    model = ProductClassifier(None, build_text_encoder(str(tiny_bert)), head)
    settings = ProductSettings(model="text", attributes=(Attribute(name="label", labels=("a", "b", "c")),))
    save_model(tmp_path, model, settings=settings, image_encoder="resnet18", tokenizer="{}")
    save_file({"head.earlier_name.weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(RunError, match=r"another shape .* train the run again"):
        load_model(tmp_path)


def test_a_model_of_an_earlier_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"model": "text", "target": "label", "labels": ["a", "b"]}')
    with pytest.raises(RunError, match=r"settings \['labels', 'target'\] of another version.*train the run again"):
        load_model(tmp_path)
