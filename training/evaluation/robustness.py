"""A run measured on products that are damaged on purpose: ``python -m training evaluate RUN --data ... --robustness``.

With ``--part test`` the result is also left as ``RUN/robustness.json``, where ``python -m training report`` looks for
it. It holds what :mod:`training.evaluation.evaluate` documents and, besides::

    {
      "seed": 0,                            of all damage: (seed, product id) decides what happens to a product
      "conditions": [                       in the order of training.evaluation.conditions.CONDITIONS, clean first
        {
          "name": "words masked, 15 %",     unique: kind and tick
          "kind": "words masked",           conditions of one kind differ in strength; "clean" for no damage
          "tick": "15 %",                   the strength, from weak to strong; "" where there is only one
          "changed": {"title": 0.93, "image": 0.0},      share of the products whose title or picture was changed
          "models": {
            "image": {
              "products": 4000, "classes": 142, "classes_frequent": 97,
              "accuracy": 0.88, "macro_f1": 0.71, "macro_f1_frequent": 0.75,
              "ece": 0.02, "brier": 0.17, "area_under_risk_coverage": 0.03,
              "coverage_at_95_precision": 0.83,
              "needs_review": 0.17,         share of the answers below the model's review threshold
              "accuracy_unreviewed": 0.96   of the others; null where all need a review
            },
            "text": ..., "early": ..., "intermediate": ..., "late": ...,
            "baseline": {"products", "classes", "classes_frequent", "accuracy", "macro_f1", "macro_f1_frequent"}
          }
        }
      ]
    }

``baseline`` is in every condition or in none (then ``baseline_missing`` at the top says why).

A side that is taken away is handed over exactly as the server does it: a white picture, an empty title, ``present``
false. A product never loses both: one that has only one side keeps it.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlers.product_serving.calibration import review_thresholds
from handlers.product_serving.settings import ProductSettings
from training.evaluation.conditions import CONDITIONS, PICTURE_DAMAGE, Condition, damaged_titles, hidden_sides
from training.evaluation.measured import GroupFeatures, Measured
from training.scores.attribute_metrics import main_scores
from training.scores.metrics import summarize, summarize_labels

FILE = "robustness.json"


class DamagedProducts(NamedTuple):
    """What one condition makes of the measured products.

    Args:
        condition: which.
        titles: N, "" where there is none any more.
        hidden: (N, 2) bool, sides that are taken away.
        changed: share of the products whose title, and whose picture, is not what it was.
    """

    condition: Condition
    titles: list[str]
    hidden: NDArray[np.bool_]
    changed: dict[str, float]


def damage_products(measured: Measured, *, seed: int) -> list[DamagedProducts]:
    """The measured products under every condition; their pictures are damaged when they are read."""
    products = measured.products
    forms = {key: damaged_titles(key, products, seed=seed) for key in {each.title for each in CONDITIONS} - {""}}
    damaged = []
    for condition in CONDITIONS:
        hidden = hidden_sides(condition, products, seed=seed)
        form = forms.get(condition.title, products["text"].tolist())
        titles = ["" if gone else title for title, gone in zip(form, hidden[:, 1], strict=True)]
        shown = (products["image"] != "").to_numpy() & (hidden[:, 0] | bool(condition.picture))
        changed = {"title": float(np.mean(products["text"] != titles)), "image": float(np.mean(shown))}
        damaged.append(DamagedProducts(condition, titles, hidden, changed))
    return damaged


def measure_conditions(
    groups: Sequence[GroupFeatures],
    measured: Measured,
    damaged: Sequence[DamagedProducts],
    *,
    names: Sequence[str],
    baseline: Sequence[NDArray[np.int64]],
    seed: int,
) -> list[dict[str, Any]]:
    """Answer every condition and measure the answers; every damaged picture and title goes through its tower once.

    Args:
        groups: of the run's models.
        measured: the products.
        damaged: as from :func:`damage_products`.
        names: of the models, in the order of the result.
        baseline: its answers (N, A) to the titles of each condition; empty where there is no baseline.
        seed: of the damage.

    Returns:
        ``conditions``, as this module's docstring has them.
    """
    measures: dict[str, dict[str, Any]] = {each.condition.name: {} for each in damaged}
    with tqdm(total=len(damaged) * len(groups), unit="condition") as bar:
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


def measure(
    scores: NDArray[np.float32],
    truth: NDArray[np.int64],
    settings: ProductSettings,
    *,
    present: NDArray[np.bool_],
) -> dict[str, Any]:
    """All numbers of one model on the main attribute, and what its review thresholds come to on these products.

    Args:
        scores: (N, C), calibrated.
        truth: (N, A).
        settings: of the model.
        present: (N, 2), the modalities that were there.
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
    measured: Measured,
    damaged: Sequence[DamagedProducts],
    *,
    seed: int,
    bar: "tqdm[NoReturn]",
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The numbers of a group's models by condition; conditions of equal pictures come together."""
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
                    model: measure(scores, measured.truth, settings[model], present=features.present)
                    for model, scores in answers.items()
                },
            )
            bar.update()
