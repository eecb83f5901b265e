"""Choose products of a catalogue by class: given classes, classes with enough products, equally many of each."""

from collections.abc import Sequence

import pandas as pd

from training.catalog.files import CatalogError


def sample_products(
    products: pd.DataFrame,
    *,
    classes: Sequence[str] | None = None,
    per_class: int | None = None,
    min_class: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Choose products by class; equal arguments give equal products.

    Args:
        products: of a catalogue.
        classes: labels to keep; None or an empty sequence keeps all.
        per_class: number of products to draw from each class that is left.
        min_class: leave out classes with fewer products, before the draw.
        seed: of the draw.

    Returns:
        The chosen rows in their old order, indexed 0..n-1.

    Raises:
        CatalogError: a class is unknown or has fewer than ``per_class`` products, or no product is left.
    """
    for name, value in (("per_class", per_class), ("min_class", min_class)):
        if value is not None and value < 1:
            raise CatalogError(f"{name} must be > 0, got {value}")
    counts = products["label"].value_counts()
    if unknown := sorted(set(classes or ()) - set(counts.index)):
        raise CatalogError(f"no product has the label {', '.join(map(repr, unknown))}; labels are {_listed(counts)}")
    chosen = products[products["label"].isin(list(classes))] if classes else products
    if min_class is not None:
        chosen = chosen[chosen["label"].map(counts) >= min_class]
    if chosen.empty:
        raise CatalogError(f"no class has {min_class} products or more; labels are {_listed(counts)}")
    if per_class is not None:
        counts = chosen["label"].value_counts()
        if (small := counts[counts < per_class]).size:
            advice = f"lower --per-class, or leave them out with --min-class {per_class}"
            raise CatalogError(f"{len(small)} classes have fewer than {per_class} products: {_listed(small)}; {advice}")
        drawn = chosen.reset_index(drop=True).groupby("label").sample(n=per_class, random_state=seed)
        chosen = drawn.sort_index()
    return chosen.reset_index(drop=True)


def _listed(counts: "pd.Series[int]", limit: int = 200) -> str:
    names = [f"{label} ({count:,})" for label, count in counts.items()]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
