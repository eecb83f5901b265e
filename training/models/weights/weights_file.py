"""Read weights from a file that somebody else has saved, and map them to a network where that is safe.

Safe means: the file has each weight that the network needs, in its shape, and none of another network. Then names may
differ by a prefix (``module.`` of DataParallel, ``_orig_mod.`` of torch.compile), and the state dict may lie in a
checkpoint (``{"state_dict": ..., "epoch": 7}``). The classifier's weights are not needed: it is replaced.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "teacher", "student")
_MOST_NESTED = 3
_NAMED = 3
_OPTIONAL = ("num_batches_tracked", "position_ids")
_KINDS = (
    (
        (b"<", b"\n<", b"\r\n<", b"\xef\xbb\xbf<"),
        "is a web page, no weights: open its address and download the file itself",
    ),
    ((b"version https://git-lfs",), "is a pointer of Git LFS, no weights: fetch the file with `git lfs pull`"),
    ((b"\x89HDF",), "is a Keras file: export the weights as a PyTorch state dict"),
    (
        (b"\x08\x07\x12", b"\x08\x08\x12", b"\x08\x09\x12", b"\x08\x0a\x12"),
        "is an ONNX graph: give a PyTorch state dict",
    ),
    ((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!"), "is a compressed archive: unpack it, and give the state dict in it"),
    ((b"{", b"["), "is JSON, no weights: give the state dict beside it"),
)


class WeightsError(ValueError):
    """Pretrained weights cannot be loaded, or have the wrong checksum."""


def load_weights(network: nn.Module, path: Path, *, unused: Sequence[str] = ()) -> None:
    """Load the weights in a file into a network.

    Args:
        path: a PyTorch state dict, a checkpoint that holds one, or safetensors.
        unused: beginnings of names that the file may lack or have in another shape, such as the classifier's.

    Raises:
        WeightsError: the file is no such thing, or its weights are those of another network.
    """
    state = _nested(read_state(path), path)
    needed = network.state_dict()
    prefix = _prefix(state, [name for name in needed if not _is_optional(name, unused)], path)
    found = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    _check(found, needed, unused, path)
    usable = {name: value for name, value in found.items() if name in needed and value.shape == needed[name].shape}
    network.load_state_dict(usable, strict=False)


def read_state(path: Path) -> Any:
    """The content of a file of weights; no code in it is run.

    Raises:
        WeightsError: it is missing, or no file of weights; the message says what it is.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at {path}" + (": it is a folder, give the file" if path.is_dir() else ""))
    with path.open("rb") as file:
        head = file.read(32)
    if not head:
        raise WeightsError(f"{path} is empty: download it again")
    is_safetensors = head[8:9] == b"{"
    for starts, what in () if is_safetensors else _KINDS:
        if head.startswith(starts):
            raise WeightsError(f"{path} {what}")
    try:
        return load_file(path) if is_safetensors else torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged ({error}): download it again") from error
    except Exception as error:  # damaged bytes may raise any error
        raise WeightsError(
            f"{path} cannot be read as weights ({_first_line(error)}): download it again, or, if it is a whole model, "
            "save its weights alone with torch.save(model.state_dict(), FILE)"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].split(". ")[0]


def _nested(content: Any, path: Path) -> Mapping[str, Tensor]:
    """The state dict in a checkpoint."""
    for _ in range(_MOST_NESTED):
        if not isinstance(content, Mapping):
            break
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        inner = {name: value for name, value in content.items() if _holds_tensors(value)}
        if tensors and not inner:
            return tensors
        key = next((name for name in NESTED if name in inner), None)
        if key is None and len(inner) != 1:
            break
        content = inner[key if key is not None else next(iter(inner))]
    what = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        what = f"entries {', '.join(map(repr, list(content)[:_NAMED]))}"
    raise WeightsError(f"{path} holds no state dict, but {what}: save one with torch.save(model.state_dict(), FILE)")


def _holds_tensors(value: Any, depth: int = _MOST_NESTED) -> bool:
    if not isinstance(value, Mapping) or not depth:
        return False
    return any(isinstance(each, Tensor) or _holds_tensors(each, depth - 1) for each in value.values())


def _prefix(state: Mapping[str, Tensor], needed: Sequence[str], path: Path) -> str:
    """What stands before the needed names in the file."""
    ends = {name[: -len(needed[0])] for name in state if name == needed[0] or name.endswith(f".{needed[0]}")}
    whole = sorted(each for each in ends if all(each + name in state for name in needed))
    if len(whole) > 1:
        raise WeightsError(
            f"{path} holds the weights of several such networks, below {' and '.join(map(repr, whole[:_NAMED]))}: save "
            "the one that is meant"
        )
    if whole:
        return whole[0]
    best = max(["", *ends], key=lambda each: sum(each + name in state for name in needed))
    lacking = [name for name in needed if best + name not in state]
    raise WeightsError(
        f"{path} lacks {len(lacking)} of {len(needed)} weights, such as {', '.join(lacking[:_NAMED])}; it has "
        f"{', '.join(list(state)[:_NAMED])}: it is of another network, so choose that one's encoder"
    )


def _check(found: Mapping[str, Tensor], needed: Mapping[str, Tensor], unused: Sequence[str], path: Path) -> None:
    if foreign := [name for name in found if name not in needed and not _is_optional(name, unused)]:
        raise WeightsError(
            f"{path} has {len(foreign)} weights that the network has not, such as {', '.join(foreign[:_NAMED])}: it is "
            "of another, larger network"
        )
    for name, value in needed.items():
        if name not in found or _is_optional(name, unused):
            continue
        if found[name].shape != value.shape:
            shapes = f"{tuple(found[name].shape)}, and the network {tuple(value.shape)}"
            raise WeightsError(f"{path} has {name} of the shape {shapes}: it is of another network")
        if found[name].is_floating_point() and not found[name].isfinite().all():
            raise WeightsError(f"{path} has values in {name} that are no numbers: its training has failed")


def _is_optional(name: str, unused: Sequence[str]) -> bool:
    return name.endswith(_OPTIONAL) or name.startswith(tuple(unused))
