"""Decide, before the first epoch, which of the chosen models the catalogue has pictures and titles for."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from handlers.product_serving.settings import MODALITIES
from training.catalog.reading import CatalogError
from training.data.splits import PARTS
from training.models import HEADS
from training.run.options import TrainOptions

WORDS = {"image": "picture", "text": "title"}
Counts = Mapping[str, Mapping[str, int]]


def trainable_options(options: TrainOptions, products: pd.DataFrame, split: pd.DataFrame) -> TrainOptions:
    """Leave out the models that read a modality which a split part lacks, and say so.

    The training part teaches a model, the validation part calibrates it, and the export verifies it on the test part.
    So each part needs a product with the modality.

    Args:
        products: the sampled rows, with ``id``, ``image`` and ``text``.
        split: ``id`` and ``part`` of the same products.

    Raises:
        CatalogError: none of the chosen models can be trained.
    """
    parts = split.set_index("id")["part"].loc[products["id"]].to_numpy()
    there = {modality: (products[modality] != "").to_numpy() for modality in MODALITIES}
    counts = {name: {part: int(np.sum(has & (parts == part))) for part in PARTS} for name, has in there.items()}
    lacking = [name for name in options.modalities if not all(counts[name].values())]
    if lacking:
        return _without(options, lacking, counts, total=len(products))
    if len(options.modalities) > 1 and not (there["image"] & there["text"] & (parts == "test")).any():
        print(
            "note: no test product has both a picture and a title: the figures of the fusions are those of products "
            "with one of them"
        )
    return options


def _without(options: TrainOptions, lacking: list[str], counts: Counts, *, total: int) -> TrainOptions:
    left_out = [name for name in options.models if set(HEADS[name].modalities) & set(lacking)]
    kept = tuple(name for name in options.models if name not in left_out)
    reasons = "; ".join(_reason(name, counts[name], total) for name in lacking)
    if not kept:
        others = [name for name in MODALITIES if name not in lacking and all(counts[name].values())]
        advice = f"train --models {others[0]}" if others else "add products that have both"
        raise CatalogError(
            f"{reasons}; so {', '.join(left_out) or 'the models'} cannot be trained, calibrated and tested: {advice}"
        )
    print(f"note: {reasons}: left out {_listed(left_out)}; trained {_listed(kept)}", flush=True)
    return dataclasses.replace(options, models=kept)


def _reason(modality: str, counts: Mapping[str, int], total: int) -> str:
    word, having = WORDS[modality], sum(counts.values())
    if not having:
        return f"no product has a {word}"
    parts = ", ".join(f"{count} in {part}" for part, count in counts.items())
    return f"{having:,} of {total:,} products have a {word} ({parts}), and each part needs one"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"
