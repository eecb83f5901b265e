"""The key of a run (catalogue, model, options), and the differences between two keys in words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.api.errors import ClientError

_NAMES = {
    "top_k": "--top-k",
    "chunk_rows": "rows of a chunk",
    "answered_by": "answered by",
    "labels": "--labels",
    "pictures": "--pictures",
}
_DEFAULTS = {"top_k": "the model's default"}
_CHANGED = {
    "catalogue": "the catalogue is another one or has changed",
    "archive": "the archive has the same model and version but another content",
}


def check_key(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any], *, holds: str) -> None:
    """Refuse a folder that belongs to another run.

    Args:
        folder: folder of the earlier run.
        found: key of the earlier run.
        wanted: key of the run that is about to start.
        holds: content of the folder, such as "the scores of another run".

    Raises:
        ClientError: the keys differ; the message names the differences and the remedy.
    """
    if differing := key_differences(found, wanted):
        raise ClientError(
            f"{folder} holds {holds}: {'; '.join(differing)}. "
            "Choose another folder with --out, or start anew in this one with --replace"
        )


def key_differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The differences between two keys, a phrase for each; empty if the keys are equal."""
    names = [name for name in wanted if name not in found or found[name] != wanted[name]]
    if {"model", "version"} & {*names}:  # then the archive differs anyway
        names = [name for name in names if name != "archive"]
    return [_difference(name, found, wanted) for name in names]


def _difference(name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if name in found and name in _CHANGED:
        return _CHANGED[name]
    before = _text(name, found[name]) if name in found else "not recorded"
    return f"{_NAMES.get(name, name)}: {before} there, {_text(name, wanted[name])} now"


def _text(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value if each is not None)
    return _DEFAULTS.get(name, "none") if value is None else str(value)
