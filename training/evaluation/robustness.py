"""Measure a run on damaged products: ``python -m training evaluate RUN --data ... --robustness``.

With ``--part test`` the result is also kept as ``RUN/robustness.json``, for ``python -m training report``. It holds the
result of :mod:`training.evaluation.evaluate` and in addition::

    {
      "seed": 0,                            seed of all damage; with the product's id it decides each product's damage
      "conditions": [                       in the order of training.evaluation.conditions.CONDITIONS, clean first
        {
          "name": "words masked, 15 %",     unique: kind and tick
          "kind": "words masked",           conditions of one kind differ in strength; "clean" for no damage
          "tick": "15 %",                   the strength, from weak to strong; "" if there is only one
          "changed": {"title": 0.93, "image": 0.0},      share of products with a changed title or picture
          "models": {
            "image": {
              "products": 4000, "classes": 142, "classes_frequent": 97,
              "accuracy": 0.88, "macro_f1": 0.71, "macro_f1_frequent": 0.75,
              "ece": 0.02, "brier": 0.17, "area_under_risk_coverage": 0.03,
              "coverage_at_95_precision": 0.83,
              "needs_review": 0.17,         share of the answers below the model's review threshold
              "accuracy_unreviewed": 0.96   accuracy of the others; null if all need a review
            },
            "text": ..., "early": ..., "intermediate": ..., "late": ...,
            "baseline": {"products", "classes", "classes_frequent", "accuracy", "macro_f1", "macro_f1_frequent"}
          }
        }
      ]
    }

``baseline`` is in every condition or in none; then ``baseline_missing`` at the top gives the reason.

A removed picture or title reaches the models as it does in the server: a white picture or an empty title, and
``present`` false. A product with only a picture or only a title keeps it.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from handlers.product_serving.calibration import review_thresholds
from handlers.product_serving.settings import ProductSettings
from training.evaluation.conditions import CONDITIONS, PICTURE_DAMAGE, Condition, damaged_titles, hidden_modalities
from training.evaluation.measured_products import GroupFeatures, MeasuredProducts
from training.scores.attribute_metrics import main_scores
from training.scores.metrics import summarize, summarize_labels
from training.system.progress import Bar, progress


class DamagedProducts(NamedTuple):
    """The measured products under one condition.

    Args:
        titles: N titles; "" if removed.
        hidden: (N, 2) bool, removed pictures and titles.
        changed: share of the products with a changed title (``title``) and with a changed picture (``image``).
    """

    condition: Condition
    titles: list[str]
    hidden: NDArray[np.bool_]
    changed: dict[str, float]


def damage_products(measured: MeasuredProducts, *, seed: int) -> list[DamagedProducts]:
    """The measured products under every condition. Pictures are damaged later, when they are read."""
    products = measured.products
    forms = {key: damaged_titles(key, products, seed=seed) for key in {each.title for each in CONDITIONS} - {""}}
    damaged = []
    for condition in CONDITIONS:
        hidden = hidden_modalities(condition, products, seed=seed)
        form = forms.get(condition.title, products["text"].tolist())
        titles = ["" if gone else title for title, gone in zip(form, hidden[:, 1], strict=True)]
        pictures = (products["image"] != "").to_numpy() & (hidden[:, 0] | bool(condition.picture))
        changed = {"title": float(np.mean(products["text"] != titles)), "image": float(np.mean(pictures))}
        damaged.append(DamagedProducts(condition, titles, hidden, changed))
    return damaged


def measure_conditions(
    groups: Sequence[GroupFeatures],
    measured: MeasuredProducts,
    damaged: Sequence[DamagedProducts],
    *,
    names: Sequence[str],
    baseline: Sequence[NDArray[np.int64]],
    seed: int,
) -> list[dict[str, Any]]:
    """Measure all models under every condition. Every damaged picture and title goes through its tower once.

    Args:
        groups: all models of the run.
        damaged: from :func:`damage_products`.
        names: names of the models, in the order of the result.
        baseline: the baseline's answers (N, A) to the titles of each condition; empty without a baseline.

    Returns:
        ``conditions``, as in this module's docstring.
    """
    measures: dict[str, dict[str, Any]] = {each.condition.name: {} for each in damaged}
    bar: Bar[NoReturn] = progress(total=len(damaged) * len(groups), unit="condition", leave=True)
    with bar:
        for group in groups:
            for name, metrics in _answered(group, measured, damaged, seed=seed, bar=bar):
                measures[name] |= metrics
    labels = next(iter(groups[0].group.settings.values())).labels
    for each, predicted in zip(damaged, baseline, strict=bool(baseline)):
        measures[each.condition.name]["baseline"] = summarize_labels(predicted[:, 0], measured.truth[:, 0], labels)
    return [
        {
            "name": each.condition.name,
            "kind": each.condition.kind,
            "tick": each.condition.tick,
            "changed": each.changed,
            "models": {
                name: measures[each.condition.name][name]
                for name in (*names, "baseline")
                if name in measures[each.condition.name]
            },
        }
        for each in damaged
    ]


def model_metrics(
    scores: NDArray[np.float32],
    truth: NDArray[np.int64],
    settings: ProductSettings,
    *,
    present: NDArray[np.bool_],
) -> dict[str, Any]:
    """The metrics of a model on the main attribute, and the effect of its review thresholds.

    Args:
        scores: (N, C) calibrated probabilities.
        truth: (N, A) classes.
        present: (N, 2) bool, the modalities that the model had.
    """
    probabilities, classes = main_scores(scores, settings), truth[:, 0]
    sure = probabilities.max(1) >= review_thresholds(present, settings)[:, 0]
    right = probabilities.argmax(1) == classes
    return {
        **summarize(probabilities, classes, settings.labels),
        "needs_review": float(np.mean(~sure)),
        "accuracy_unreviewed": float(np.mean(right[sure])) if sure.any() else None,
    }


def _answered(
    group: GroupFeatures,
    measured: MeasuredProducts,
    damaged: Sequence[DamagedProducts],
    *,
    seed: int,
    bar: "Bar[NoReturn]",
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The metrics of a group's models by condition. Conditions with the same damage to pictures follow each other."""
    with_titles = [each for each in damaged if each.condition.title]
    bar.set_description("reading damaged titles")
    titles = group.damaged_titles([each.titles for each in with_titles])
    forms = {each.condition.name: form for form, each in enumerate(with_titles)}
    by_picture = itertools.groupby(
        sorted(damaged, key=lambda each: each.condition.picture), lambda each: each.condition.picture
    )
    for key, same in by_picture:
        pictures = None
        for each in same:
            name = each.condition.name
            bar.set_description(name)
            if key and pictures is None:
                pictures = group.damaged_pictures(PICTURE_DAMAGE[key], seed=seed)
            features = group.put_together(
                hidden=each.hidden,
                pictures=pictures,
                titles=titles if name in forms else None,
                form=forms.get(name, 0),
            )
            settings = group.group.settings
            answers = group.group.scores(features, device=group.device)
            yield (
                name,
                {
                    model: model_metrics(scores, measured.truth, settings[model], present=features.present)
                    for model, scores in answers.items()
                },
            )
            bar.update()
