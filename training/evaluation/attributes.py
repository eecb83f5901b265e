"""Further attributes in an evaluation: those that the run tells and the catalogue has."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.files import open_files
from training.catalog.reading import CatalogSource
from training.catalog.table import open_table
from training.data.attributes import MISSING, attribute_targets
from training.evaluation.baseline import attribute_baseline_answers
from training.evaluation.measured import Measured
from training.scores.attribute_metrics import summarize_attributes, summarize_predicted


def with_targets(source: CatalogSource, record: dict[str, Any]) -> CatalogSource:
    """The catalogue with the columns to be measured.

    Args:
        source: without a label column, the run's target and those of its attributes that the catalogue has.
        record: content of ``run.json``.

    Raises:
        CatalogError: the catalogue cannot be read.
    """
    if source.label_column is not None:
        return source
    names = record.get("attributes", {})
    if names:
        files = open_files(source.path)
        with files.open_table() as stream:
            header = open_table(stream, name=files.table_name, image_column=source.image_column).header
        names = [name for name in names if name in header]
    return dataclasses.replace(source, label_column=record["target"], attribute_columns=list(names))


def measured_attributes(
    scores: NDArray[np.float32], measured: Measured, settings: ProductSettings
) -> dict[str, dict[str, Any]]:
    """``attributes`` of a model's numbers; nothing where none is measured.

    Args:
        scores: (N, C), those of all attributes.
        measured: the products.
        settings: of the model.
    """
    if not measured.attributes:
        return {}
    truth = np.full((len(measured.rows), len(settings.heads)), MISSING)
    names = list(settings.slices)
    known = _known(settings.attributes, measured)
    truth[:, [names.index(head.name) for head in known]] = attribute_targets(measured.products, known)
    return {"attributes": summarize_attributes(scores, truth, settings)}


def attribute_baseline(run: Path, record: dict[str, Any], measured: Measured) -> dict[str, dict[str, Any]]:
    """The same of TF-IDF and a linear SVM; raises as :func:`attribute_baseline_answers`."""
    heads = [Attribute(name=name, labels=tuple(labels)) for name, labels in record.get("attributes", {}).items()]
    known = _known(heads, measured)
    if not known:
        return {}
    answers = attribute_baseline_answers(run, record, measured.products["text"].tolist(), attributes=known)
    return {"attributes": summarize_predicted(answers, attribute_targets(measured.products, known), known)}


def _known(heads: Any, measured: Measured) -> list[Attribute]:
    return [head for head in heads if head.name in measured.attributes]
