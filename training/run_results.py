"""What a complete run says, read back: its record, the answers of its models, and the products they were asked."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.catalog import Catalog, CatalogError, CatalogSource, read_catalog
from training.checkpoint import read_run
from training.metrics import accuracy, macro_f1


@dataclasses.dataclass(frozen=True)
class Answers:
    """Test answers of one model.

    Args:
        predicted: (N,) classes.
        probabilities: (N, C), or None for the baseline.
    """

    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float32] | None


@dataclasses.dataclass(frozen=True)
class RunResults:
    """A run's test part with everything that was said of it.

    Args:
        folder: the run folder.
        record: content of ``run.json``.
        ids: (N,) product ids.
        truth: (N,) classes.
        groups: (N,) groups that belong together.
        answers: by model, ``baseline`` among them.
    """

    folder: Path
    record: dict[str, Any]
    ids: NDArray[np.str_]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    answers: dict[str, Answers]

    @property
    def labels(self) -> list[str]:
        """Class names."""
        labels: list[str] = self.record["labels"]
        return labels

    @property
    def best_fusion(self) -> str:
        """The fusion with the highest accuracy plus macro-F1 on validation; where there is none, the single model."""
        fusions: list[str] = [name for name in self.record["models"] if name not in ("image", "text")]
        return max(fusions or ["text", "image"], key=self._validation_score)

    def _validation_score(self, model: str) -> float:
        with np.load(self.folder / model / "validation.npz") as saved:
            truth, predicted = saved["truth"], saved["probabilities"].argmax(1)
        return accuracy(truth, predicted) + macro_f1(truth, predicted, classes=len(self.labels))


def read_results(folder: Path) -> RunResults:
    """Read a run folder.

    Raises:
        RunError: it is not complete.
    """
    record = read_run(folder)
    split = pd.read_csv(folder / "split.csv", dtype={"id": str, "label": str}, keep_default_na=False)
    answers: dict[str, Answers] = {}
    for name in record["models"]:
        with np.load(folder / name / "test.npz") as saved:
            ids, truth, probabilities = saved["ids"], saved["truth"], saved["probabilities"]
        answers[name] = Answers(probabilities.argmax(1), probabilities)
    with np.load(folder / "baseline" / "test.npz") as saved:
        answers["baseline"] = Answers(saved["predicted"], None)
    groups = split.set_index("id")["group"].loc[ids].to_numpy(dtype=np.int64)
    return RunResults(folder, record, ids, truth, groups, answers)


class ProductShelf:
    """Pictures and titles of a run's products; empty where the catalogue is gone.

    Args:
        results: of the run.
    """

    def __init__(self, results: RunResults) -> None:
        self._catalog: Catalog | None = None
        self.missing = ""
        try:
            source = CatalogSource(**results.record["source"])
            self._catalog = read_catalog(source, check_images=False, max_rejected=1.0, progress=False)
            self._rows = self._catalog.products.set_index("id")
        except CatalogError as error:
            self.missing = str(error)

    def title(self, product: str) -> str:
        """The title, or the id where there is none."""
        return (str(self._rows.loc[product, "text"]) if self._catalog else "") or product

    def image(self, product: str) -> bytes | None:
        """The encoded picture, or None."""
        name = str(self._rows.loc[product, "image"]) if self._catalog else ""
        return self._catalog.image_bytes(name) if self._catalog and name else None
