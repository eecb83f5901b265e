"""Reads the reference: what a model answered to its validation part, from a run folder or from an archive."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from client.api.errors import ClientError
from client.archives.model_store import identify_archive, read_member
from client.drift.counts import AnswerCounts, Share
from handlers.product_serving.metrics import SCORE_BOUNDS
from training.system.storage import read_json

REFERENCE_FILE = "reference.json"
_AGAIN = "it is of an earlier version of this package"


class Reference(NamedTuple):
    """The reference, and the version of the archive that carries it; None for a run, which has none."""

    counts: AnswerCounts
    version: str | None


def read_reference(path: Path, *, model: str) -> Reference:
    """Read the reference of a model.

    Args:
        path: a run folder, or an archive.
        model: name of the model; an archive knows its own.

    Raises:
        ClientError: there is none; the message says what is there, or how to make it.
    """
    if path.is_dir():
        return Reference(_of_run(path, model), None)
    if not path.exists():
        raise ClientError(f"{path} does not exist: name a run folder, or an archive (.mar)")
    if not zipfile.is_zipfile(path):
        raise ClientError(f"{path} is neither a run folder nor an archive (.mar)")
    archive = identify_archive(path)
    values = read_member(path, "manifest.json").get("reference")
    if values is None:
        raise ClientError(f"{path.name} carries no reference: {_AGAIN}; train and build it again")
    return Reference(_counts(values, source=f"{archive.model} {archive.version}", place=path), archive.version)


def _of_run(run: Path, model: str) -> AnswerCounts:
    folder = run / model
    if not (run / "run.json").is_file():
        raise ClientError(f"{run} contains no complete run; `python -m training train` makes or finishes one")
    if not folder.is_dir():
        there = ", ".join(sorted(path.parent.name for path in run.glob("*/settings.json"))) or "none"
        raise ClientError(f"{run} has no model {model}; models there: {there}. Name one with --model")
    values = read_json(folder / REFERENCE_FILE)
    if values is None:
        raise ClientError(f"{folder} has no {REFERENCE_FILE}: {_AGAIN}; train it again, into another --out")
    return _counts(values, source=str(folder), place=folder / REFERENCE_FILE)


def _counts(values: Any, *, source: str, place: Path) -> AnswerCounts:
    try:
        products = int(values["products"])
        scores = [float(each) for each in values["scores"]]
        if len(scores) != len(SCORE_BOUNDS):
            raise ClientError(f"{place} has other bounds of scores: {_AGAIN}; train it again")
        conflicts = values.get("conflicts")
        return AnswerCounts(
            source=source,
            products=products,
            labels={str(label): float(count) for label, count in values["labels"].items()},
            scores=scores,
            modalities={str(name): float(count) for name, count in values["modalities"].items()},
            unsure=Share(float(values["unsure"]), products),
            conflicts=conflicts and Share(int(conflicts["flagged"]), int(conflicts["pairs"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClientError(f"the reference in {place} is damaged ({type(error).__name__}: {error})") from error
