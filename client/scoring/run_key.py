"""Which run a folder belongs to: its catalogue, its model and its options; in words, what tells two runs apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.api.errors import ClientError

_NAMES = {"top_k": "--top-k", "chunk_rows": "rows of a chunk", "answered_by": "answered by", "labels": "--labels"}
_DEFAULTS = {"top_k": "the model's default"}
_CHANGED = {
    "catalogue": "the catalogue is another one, or has changed since",
    "archive": "the model's archive is another one of the same name and version",
}


def check_key(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any], *, holds: str) -> None:
    """Let the folder of one run not become that of another one.

    Args:
        folder: of the run that was there first.
        found: its key.
        wanted: key of the run that is to begin.
        holds: what lies in the folder, such as "the scores of another run".

    Raises:
        ClientError: the keys differ; the message says in what, and how to go on.
    """
    if differing := differences(found, wanted):
        raise ClientError(
            f"{folder} holds {holds}: {'; '.join(differing)}. "
            "Choose another folder with --out, or start anew in this one with --replace"
        )


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What tells two runs apart, a phrase each; empty where they are one."""
    names = [name for name in wanted if name not in found or found[name] != wanted[name]]
    if {"model", "version"} & {*names}:  # which are of two archives
        names = [name for name in names if name != "archive"]
    return [_difference(name, found, wanted) for name in names]


def _difference(name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if name in found and name in _CHANGED:
        return _CHANGED[name]
    there = _shown(name, found[name]) if name in found else "not recorded"
    return f"{_NAMES.get(name, name)}: {there} there, {_shown(name, wanted[name])} now"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value if each is not None)
    return _DEFAULTS.get(name, "none") if value is None else str(value)
