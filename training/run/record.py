"""The record of a complete run, ``run.json``: catalogue, options, split, models and metrics."""

import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from handlers.product_serving.settings import Attribute
from training.catalog.reading import CatalogSource
from training.run.checkpoint import RunError
from training.system.device import Device
from training.system.storage import write_json

RUN_FILE = "run.json"
OPTIONS_FILE = "options.json"
ROBUSTNESS_FILE = "robustness.json"  # of the run: metrics of products that miss something or are damaged
SETS_FILE, CONFLICT_FILE = "sets.json", "conflict.json"  # of a model
VERSION = 2
"""Version of the file's format; version 1 had no number."""
_NAMED = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProductCounts:
    """Rows of the catalogue.

    Args:
        read: all rows.
        used: valid rows.
        rejected: invalid rows.
        sampled: rows that the run uses.
        corrected: lines of the file of corrections, with those that confirm a label; None without such a file.
    """

    read: int
    used: int
    rejected: int
    sampled: int
    corrected: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """The split: its kind, a hash of the parts, and the number of products in each part."""

    kind: str
    hash: str
    train: int
    validation: int
    test: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The content of ``run.json``.

    Args:
        attributes: A >= 1 attributes that the models predict, the main one first.
        hierarchies: names of attributes; the first of each determines the others.
        created: time of completion, ISO 8601.
        arguments: the options, from :meth:`training.run.options.TrainOptions.as_dict`.
        models: the trained models, in order.
        peak_memory_gib: peak memory of the process.
        metrics: on the test part, by model (and ``baseline``), attribute and name of the metric.
    """

    source: CatalogSource
    attributes: tuple[Attribute, ...]
    hierarchies: tuple[tuple[str, ...], ...]
    seed: int
    created: str
    command: str
    arguments: dict[str, Any]
    device: Device
    products: ProductCounts
    split: SplitCounts
    models: tuple[str, ...]
    seconds: dict[str, float]
    peak_memory_gib: float
    metrics: dict[str, dict[str, dict[str, Any]]]

    @property
    def main(self) -> Attribute:
        """The main attribute."""
        return self.attributes[0]

    def with_labels(self, labels: Sequence[str]) -> Self:
        """A copy with other labels of the main attribute."""
        main = dataclasses.replace(self.main, labels=tuple(labels))
        return dataclasses.replace(self, attributes=(main, *self.attributes[1:]))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        values = dataclasses.asdict(self)
        if self.products.corrected is None:
            del values["products"]["corrected"]
        attributes = {each.name: list(each.labels) for each in self.attributes}
        return {"version": VERSION, **values, "source": self.source.as_dict(), "attributes": attributes}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The record of the values that :meth:`as_dict` returned.

        Raises:
            KeyError, TypeError: a value is missing, unknown or of a wrong type.
        """
        fields = {name: value for name, value in values.items() if name != "version"}
        return cls(
            **fields
            | {
                "source": CatalogSource(**values["source"]),
                "attributes": tuple(Attribute(name=n, labels=tuple(of)) for n, of in values["attributes"].items()),
                "hierarchies": tuple(map(tuple, values["hierarchies"])),
                "device": Device(**values["device"]),
                "products": ProductCounts(**values["products"]),
                "split": SplitCounts(**values["split"]),
                "models": tuple(values["models"]),
            }
        )


def write_run_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json``, whose presence means that the run is complete."""
    write_json(folder / RUN_FILE, record.as_dict())


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json``.

    Raises:
        RunError: the file is missing, so the run is not complete; or another version of this package wrote it.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise RunError(missing_run(folder))
    values = json.loads(path.read_text(encoding="utf-8"))
    if values.get("version") != VERSION:
        raise RunError(f"{path} is of another version of this package: train the run again, into another --out")
    try:
        return RunRecord.from_dict(values)
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}): train the run again, into another --out") from error


def missing_run(folder: Path) -> str:
    """Why a folder holds no complete run, and what to do."""
    if (folder / OPTIONS_FILE).is_file():
        return (
            f"{folder} holds no complete run (no {RUN_FILE}); "
            f"`python -m training train --out {shlex.quote(str(folder))}` with the options of its start finishes it"
        )
    beside = sorted(path.parent.name for path in folder.parent.glob(f"*/{RUN_FILE}"))[:_NAMED]
    runs = f"complete runs beside it: {', '.join(beside)}" if beside else "`python -m training train` makes one"
    return f"{folder} {'holds no run' if folder.exists() else 'does not exist'}; {runs}"
