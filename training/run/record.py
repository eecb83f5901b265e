"""The record of a complete run, ``run.json``: what it was trained on, with which options, and what came out."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from handlers.product_serving.settings import Attribute
from training.catalog.reading import CatalogSource
from training.run.checkpoint import RunError
from training.system.device import Device
from training.system.storage import write_json

FILE = "run.json"
VERSION = 2
"""Of the form of the file; the first one had no number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProductCounts:
    """Rows of the catalogue.

    Args:
        read: all.
        used: those without a fault.
        rejected: those with one.
        sampled: those that the run took.
        corrected: labels that a file of corrections replaced; None without such a file.
    """

    read: int
    used: int
    rejected: int
    sampled: int
    corrected: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """The split: its kind, the hash of which product is where, and the number of products in each part."""

    kind: str
    hash: str
    train: int
    validation: int
    test: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What ``run.json`` says.

    Args:
        source: the catalogue.
        attributes: A >= 1 that the models tell, the main one first.
        hierarchies: names of attributes; the first of each decides the others.
        seed: of everything random.
        created: when the run was complete, ISO 8601.
        command: as it was typed.
        arguments: the options, as :meth:`training.run.options.TrainOptions.as_dict`.
        device: where it was trained.
        products: how many.
        split: of the products.
        models: that were trained, in this order.
        seconds: of each stage.
        peak_memory_gib: of the process.
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
        """The same with other labels of the main attribute."""
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
        """The record that :meth:`as_dict` gave.

        Raises:
            KeyError, TypeError: something is missing, or there is something else.
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
    write_json(folder / FILE, record.as_dict())


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json``.

    Raises:
        RunError: there is none, so the run is not complete; or another version of this package wrote it.
    """
    path = folder / FILE
    if not path.is_file():
        raise RunError(
            f"{folder} holds no complete run (no {FILE}); `python -m training train --out {folder}` finishes it"
        )
    values = json.loads(path.read_text(encoding="utf-8"))
    if values.get("version") != VERSION:
        raise RunError(f"{path} is of another version of this package: train the run again, into another --out")
    try:
        return RunRecord.from_dict(values)
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}): train the run again, into another --out") from error
