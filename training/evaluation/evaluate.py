"""Measure a run on a labelled catalogue, with the server's preprocessing: ``python -m training evaluate --help``.

The result can be written as JSON::

    {
      "run": "shop", "catalogue": "new.csv",
      "target": "articleType",              column of the main attribute; all numbers outside "attributes" are of it
      "part": null,                         or the measured part of the run's own split
      "products": 4000,                     number of measured products
      "unknown_labels": {"Boats": 3},       products with a label that the run does not know: counted, not measured
      "trained_on": 0,                      measured products that the run was trained on, by id; null if unknown
      "hints": ["..."],                     sentences on the limits of these figures
      "models": {
        "image": {
          "products", "classes", "classes_frequent", "accuracy", "macro_f1" (over classes with products),
          "macro_f1_frequent" (over classes with 5 products or more), "ece", "brier", "area_under_risk_coverage",
          "coverage_at_95_precision",
          "needs_review": 0.17,             share of the answers below the model's review threshold
          "accuracy_unreviewed": 0.96,      accuracy of the others; null if all need a review
          "reliability": [{"share", "confidence", "accuracy"}, ...],        15 bins of equal width
          "risk_coverage": {"coverage": [...], "risk": [...]},              about 100 points
          "attributes": {"gender": {...}}   the first ten of these numbers for each attribute of the catalogue
        },
        "early": {
          ...,                              and for a model that reads both modalities:
          "modalities": {                   the same numbers, null without such products,
            "both": {...},                  for products with picture and title
            "image": {...},                 for products with a picture, answered without their title
            "text": {...}                   for products with a title, answered without their picture
          }
        },
        "baseline": {...}                   TF-IDF and a linear SVM on the title: accuracy and macro-F1 only
      },
      "baseline_missing": "..."             the reason, only if there is no baseline
    }

With ``robustness`` it also has the entries of :mod:`training.evaluation.robustness`.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handlers.product_serving.settings import MODALITIES, Attribute
from training.catalog.reading import Catalog, CatalogError, CatalogSource, read_catalog_for
from training.data.corrections import reapply_corrections
from training.evaluation.baseline import BaselineMissing, baseline_answers, read_split
from training.evaluation.measured_products import GroupFeatures, MeasuredProducts, known_targets, with_target_columns
from training.evaluation.model_groups import load_groups
from training.evaluation.robustness import damage_products, measure_conditions, model_metrics
from training.models import HEADS
from training.run.record import RunRecord, read_run
from training.scores.attribute_metrics import main_scores, summarize_attributes, summarize_predicted
from training.scores.metrics import reliability, risk_coverage
from training.system.device import choose_device
from training.system.progress import progress

CURVE_POINTS = 100


def evaluate_run(
    run: Path,
    source: CatalogSource,
    *,
    max_rejected: float = 0.05,
    part: str | None = None,
    robustness: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Metrics of every model of a run on a catalogue.

    The test part of the run's own catalogue gives the run's test metrics, to the last digit on the same machine.

    Args:
        source: the catalogue; without a label column, see :func:`with_target_columns`.
        max_rejected: largest share of bad rows; above it the catalogue is refused.
        part: measure only the products of this part of the run's split; None measures all.
        robustness: also measure on damaged products.

    Returns:
        See the module's docstring.

    Raises:
        CatalogError: the catalogue cannot be used, or shares no label, or no product of the part, with the run.
        RunError: the run is not complete.
    """
    record, split = read_run(run), read_split(run)
    attributes = record.attributes
    source = with_target_columns(dataclasses.replace(source, spellings=record.source.spellings), attributes)
    # The products of a part were checked when the run was trained.
    read = sorted({modality for name in record.models for modality in HEADS[name].modalities})
    catalog = read_catalog_for(read, source, max_rejected=max_rejected, check_images=part is None)
    if part is not None:
        catalog = dataclasses.replace(
            catalog, products=reapply_corrections(run, catalog.products, target=attributes[0].name)
        )
    products = catalog.products if part is None else _with_neighbours(catalog, split, part)
    chosen = np.ones(len(products), dtype=bool) if part is None else products["id"].isin(_ids(split, part)).to_numpy()
    unknown = ~products["label"].isin(attributes[0].labels).to_numpy()
    measured = _chosen_products(catalog, products[~unknown], chosen[~unknown], attributes)
    trained_on = _trained_on(record, split, measured)
    return {
        "run": run.name,
        "catalogue": Path(source.path).name,
        "target": catalog.source.label_column,
        "part": part,
        "products": len(measured.rows),
        "unknown_labels": products.loc[unknown & chosen, "label"].value_counts().to_dict(),
        "trained_on": trained_on,
        "hints": [*catalog.notes, *_hints(split, measured, trained_on, part)],
        **_measure(run, record, measured, robustness=robustness, seed=seed),
    }


def _ids(split: pd.DataFrame, part: str) -> "pd.Series[str]":
    return split.loc[split["part"] == part, "id"]


def _with_neighbours(catalog: Catalog, split: pd.DataFrame, part: str) -> pd.DataFrame:
    """The products of a part and those that the run read together with them, in the run's order."""
    ids = split.loc[(split["part"] == "train") == (part == "train"), "id"]
    products = catalog.products.set_index("id", drop=False)
    if not products["id"].isin(_ids(split, part)).any():
        raise CatalogError(
            f"{catalog.source.path} holds no product of the run's {part} part, by id: "
            "give the catalogue that the run was trained on, or leave out --part"
        )
    return products.loc[[product for product in ids if product in products.index]].reset_index(drop=True)


def _chosen_products(
    catalog: Catalog, read: pd.DataFrame, chosen: NDArray[np.bool_], attributes: Sequence[Attribute]
) -> MeasuredProducts:
    labels = attributes[0].labels
    if not chosen.any():
        raise CatalogError(
            f"no product of {catalog.source.path} has a label that the run knows in the column "
            f"{catalog.source.label_column!r}; the run knows {', '.join(map(repr, labels[:10]))}"
            f"{' and others' if len(labels) > 10 else ''}: choose the column with --target"
        )
    return MeasuredProducts(
        catalog, read.reset_index(drop=True), known_targets(read, attributes), np.flatnonzero(chosen)
    )


def _trained_on(record: RunRecord, split: pd.DataFrame, measured: MeasuredProducts) -> int | None:
    """The number of measured products that the run was trained on; None if ids are line numbers of different files."""
    own, source = record.source, measured.catalog.source
    same_file = Path(own.path).resolve() == Path(source.path).resolve()
    if not same_file and not (own.id_column and source.id_column):
        return None
    return int(measured.products["id"].isin(_ids(split, "train")).sum())


def _hints(split: pd.DataFrame, measured: MeasuredProducts, trained_on: int | None, part: str | None) -> list[str]:
    hints = []
    products = measured.products
    if trained_on is None and part is None:
        hints.append("the products have no ids (no id column): the run may have been trained on some of them")
    elif trained_on:
        hints.append(
            f"the run was trained on {trained_on} of these {len(products)} products, so it will do worse on new ones; "
            "--part test measures only products that it was not trained on"
        )
    if part is not None:
        labels = split.set_index("id")["label"].loc[products["id"]].to_numpy()
        wanted, other = len(_ids(split, part)), int((labels != products["label"].to_numpy()).sum())
        if len(products) < wanted:
            hints.append(f"only {len(products)} of the {wanted} products of the run's {part} part are measured")
        if other:
            hints.append(f"{other} of {len(products)} products have another label than in training")
    return hints


def _measure(
    run: Path, record: RunRecord, measured: MeasuredProducts, *, robustness: bool, seed: int
) -> dict[str, Any]:
    """The entries of the result that need the models' answers: ``models``, ``baseline_missing``, ``conditions``."""
    damaged = damage_products(measured, seed=seed) if robustness else []
    titles = [measured.products["text"].tolist(), *(each.titles for each in damaged)]
    missing: dict[str, str] = {}
    try:
        baseline = baseline_answers(run, record, titles, attributes=record.attributes)
    except BaselineMissing as error:
        baseline, missing = [], {"baseline_missing": str(error)}
    device = choose_device(record.arguments["precision"])
    with tempfile.TemporaryDirectory(prefix="evaluate-") as folder:
        groups = [
            GroupFeatures(group, measured, device=device, folder=Path(folder))
            for group in progress(
                load_groups(run, record.models), description="reading pictures and titles", unit="towers", leave=True
            )
        ]
        by_model = {name: metrics for group in groups for name, metrics in _measure_group(group).items()}
        models = {name: by_model[name] for name in record.models}
        if baseline:
            numbers = summarize_predicted(baseline[0], measured.truth, record.attributes)
            models["baseline"] = {**next(iter(numbers.values())), "attributes": numbers}
        result: dict[str, Any] = {"models": models, **missing}
        if robustness:
            conditions = measure_conditions(
                groups, measured, damaged, names=record.models, baseline=baseline[1:], seed=seed
            )
            result |= {"seed": seed, "conditions": conditions}
    return result


def _measure_group(features: GroupFeatures) -> dict[str, dict[str, Any]]:
    """Metrics and curves of each model of a group."""
    group, truth = features.group, features.measured.truth
    clean = features.put_together()
    result: dict[str, dict[str, Any]] = {}
    for name, scores in group.scores(clean, device=features.device).items():
        settings = group.settings[name]
        probabilities = main_scores(scores, settings)
        result[name] = {
            **model_metrics(scores, truth, settings, present=clean.present),
            "reliability": _reliability(probabilities, truth[:, 0]),
            "risk_coverage": _risk_coverage(probabilities, truth[:, 0]),
            "attributes": summarize_attributes(scores, truth, settings),
        }
    fusions = [name for name, settings in group.settings.items() if len(settings.modalities) == len(MODALITIES)]
    if fusions:
        measured = _measure_modalities(features, clean.present)
        for name in fusions:
            result[name]["modalities"] = {key: metrics[name] if metrics else None for key, metrics in measured.items()}
    return result


def _measure_modalities(features: GroupFeatures, present: NDArray[np.bool_]) -> dict[str, dict[str, Any] | None]:
    """Metrics of each model on products with both modalities, without titles, and without pictures."""
    hidden = {"both": (False, False), "image": (False, True), "text": (True, False)}
    chosen = {"both": present.all(1), "image": present[:, 0], "text": present[:, 1]}
    measured: dict[str, dict[str, Any] | None] = {}
    for key, removed in hidden.items():
        rows = np.flatnonzero(chosen[key])
        measured[key] = None
        if len(rows):
            together = features.put_together(hidden=np.array(removed) & present.all(1, keepdims=True))
            answers = features.group.scores(together, device=features.device)
            measured[key] = {
                name: model_metrics(
                    answers[name][rows], features.measured.truth[rows], settings, present=together.present[rows]
                )
                for name, settings in features.group.settings.items()
            }
    return measured


def _reliability(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> list[dict[str, float]]:
    """The bins of a reliability diagram, from the least to the most confident."""
    names = ("share", "confidence", "accuracy")
    columns = (values.tolist() for values in reliability(probabilities, truth))
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _risk_coverage(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, list[float]]:
    """The curve at about ``CURVE_POINTS`` points, with the first and the last."""
    coverage, risk = risk_coverage(probabilities, truth)
    places = np.unique(np.linspace(0, len(coverage) - 1, CURVE_POINTS).round().astype(np.int64))
    return {"coverage": coverage[places].tolist(), "risk": risk[places].tolist()}
