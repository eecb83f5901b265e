"""Weights that somebody else has saved: mapped where that is safe, else refused with the mend."""

import gzip
import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.models.encoders import build_text_encoder
from training.models.weights.weights_file import WeightsError, load_weights
from training.pipeline.towers import require_weights
from training.run.options import TrainOptions

State = dict[str, Tensor]


def network() -> nn.Module:
    """Two layers with a batch norm between them, and a classifier ``2``."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))


def saved(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


MAPPED: dict[str, Callable[[State], Any]] = {
    "as it is": lambda state: state,
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "compiled and parallel": lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    "a checkpoint": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
    "model_state_dict": lambda state: {"model_state_dict": {f"module.{name}": value for name, value in state.items()}},
    "nested twice": lambda state: {"checkpoint": {"model": state}, "epoch": 1},
    "a part of a larger model": lambda state: {
        **{f"backbone.{name}": value for name, value in state.items()},
        "head.weight": torch.ones(9, 9),
    },
    "another classifier": lambda state: {**state, "2.weight": torch.ones(7, 4), "2.bias": torch.ones(7)},
    "no classifier": lambda state: {name: value for name, value in state.items() if not name.startswith("2.")},
    "old batch norms": lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
    "half precision": lambda state: {name: value.half() for name, value in state.items()},
}


@pytest.mark.parametrize("change", MAPPED.values(), ids=MAPPED)
def test_what_can_be_mapped_safely_is(tmp_path: Path, change: Callable[[State], Any]) -> None:
    torch.manual_seed(0)
    source, target = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2)), network()
    load_weights(target, saved(change(source.state_dict()), tmp_path / "weights.pth"), unused=["2."])
    torch.testing.assert_close(target[0].weight, source[0].weight, atol=1e-3, rtol=1e-3)  # type: ignore[index]


def test_safetensors_are_read_under_any_name(tmp_path: Path) -> None:
    source, target = network(), network()
    save_file({f"module.{name}": value for name, value in source.state_dict().items()}, tmp_path / "weights.pth")
    load_weights(target, tmp_path / "weights.pth")
    torch.testing.assert_close(target.state_dict(), source.state_dict(), atol=1e-3, rtol=1e-3)


def pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


NO_WEIGHTS = {
    "a web page": (b"<!DOCTYPE html><html>404</html>", "is a web page, no weights"),
    "a page with a mark": (b"\xef\xbb\xbf<html>", "is a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "nothing": (b"", "is empty"),
    "JSON": (b'{"error": "gone"}', "is JSON"),
    "compressed": (gzip.compress(b"x"), "compressed archive"),
    "Keras": (b"\x89HDF\r\n\x1a\n", "Keras"),
    "cut off": (pickled(network().state_dict())[:900], "download it again"),
    "safetensors, cut off": ((500).to_bytes(8, "little") + b'{"a":', "is damaged"),
    "a word": (b"hello, weights", "cannot be read as weights"),
    "a pickle of code": (pickle.dumps(Path), "model.state_dict()"),
    "a whole model": (pickled(network()), "model.state_dict()"),
    "a number": (pickled(7), "holds no state dict, but a int"),
    "a list": (pickled([torch.ones(1)]), "holds no state dict, but a list"),
    "an optimizer": (pickled({"epoch": 1, "lr": 0.1}), "holds no state dict, but entries 'epoch', 'lr'"),
}


@pytest.mark.parametrize(("content", "told"), NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_what_holds_no_weights_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as refused:
        load_weights(network(), path)
    assert told in str(refused.value) and str(path) in str(refused.value)


def with_value(state: State, **changes: Tensor) -> State:
    return {**state, **{name.replace("_", "."): value for name, value in changes.items()}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: {"layer.weight": torch.ones(1)}, "lacks 6 of 6 weights, such as 0.weight"),
        (lambda state: {name: value for name, value in state.items() if name != "0.bias"}, "lacks 1 of 6 weights"),
        (lambda state: with_value(state, **{"0_weight": torch.ones(9, 3, 1, 1)}), "0.weight of the shape (9, 3, 1, 1)"),
        (lambda state: with_value(state, **{"3_weight": torch.ones(2)}), "has 1 weights that the network has not"),
        (lambda state: with_value(state, **{"0_bias": torch.full((4,), torch.nan)}), "no numbers"),
        (
            lambda state: {f"{of}.{name}": value for of in ("student", "teacher") for name, value in state.items()},
            "several such networks, below 'student.' and 'teacher.'",
        ),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, change: Callable[[State], Any], told: str) -> None:
    path = saved(change(dict(network().state_dict())), tmp_path / "weights.pth")
    with pytest.raises(WeightsError) as refused:
        load_weights(network(), path, unused=["2."])
    assert told in str(refused.value)


@pytest.fixture
def bert(tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny BERT's folder, to be changed."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


def test_a_bert_of_a_parallel_training_is_read(bert: Path, tiny_bert: Path) -> None:
    state = build_text_encoder(str(tiny_bert)).bert.state_dict()
    (bert / "model.safetensors").unlink()
    torch.save(
        {"state_dict": {f"module.bert.{name}": value for name, value in state.items()}}, bert / "pytorch_model.bin"
    )
    read = build_text_encoder(str(bert)).bert.state_dict()
    assert all(torch.equal(read[name], value) for name, value in state.items())


def changed_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda bert: (bert / "model.safetensors").write_bytes(b"<html>gone</html>"), "is a web page"),
        (lambda bert: (bert / "model.safetensors").unlink(), "has no weights"),
        (lambda bert: (bert / "config.json").write_text("<html>"), "no usable config.json"),
        (lambda bert: changed_config(bert, model_type="roberta"), "roberta, and only BERT"),
        (lambda bert: changed_config(bert, hidden_size=64), "of another network"),
        (lambda bert: (bert / "tokenizer.json").write_text("{}"), "tokenizer.json is damaged"),
    ],
)
def test_a_folder_that_is_no_bert_is_named(bert: Path, damage: Callable[[Path], Any], told: str) -> None:
    damage(bert)
    with pytest.raises(WeightsError) as refused:
        build_text_encoder(str(bert))
    assert told in str(refused.value)


def test_a_tokenizer_with_more_words_than_embeddings_is_refused(bert: Path) -> None:
    tokenizer = json.loads((bert / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["more"] = len(words)
    (bert / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(WeightsError, match=r"tokenizer .* has 301 words, and the weights have embeddings for 300"):
        build_text_encoder(str(bert))


def test_titles_longer_than_the_encoder_reads_are_refused(options: Callable[..., TrainOptions]) -> None:
    with pytest.raises(WeightsError, match="reads at most 64 tokens, and --max-tokens is 65"):
        require_weights(options(max_tokens=65))
