"""Labels that differ only in case: named with their counts, and merged if that is asked for."""

import dataclasses
from collections.abc import Mapping, Sequence

from training.catalog.labels import merged_spellings, twins
from training.catalog.reading import Catalog, product_columns

_NAMED = 5


def with_one_spelling(catalog: Catalog, *, merge: bool) -> Catalog:
    """The catalogue with merged labels, or as it is, with a note on labels that differ only in case.

    Args:
        merge: each group of such labels becomes its most frequent one. The source remembers it, so that every later
            reading gives the same labels.
    """
    products, spellings = catalog.products, {}
    for name, column in product_columns(catalog.source.target_columns).items():
        counts = {str(label): int(count) for label, count in products[column].value_counts().items() if label}
        if none := int((products[column] == "").sum()):
            print(f"note: {none:,} products have no value of {name!r} (an empty cell, or NA, N/A, NaN, NULL)")
        if not (groups := twins(counts)):
            continue
        print(f"note: {_described(name, groups, counts, merge=merge)}")
        if merge:
            spellings[name] = merged_spellings(groups)
            products = products.assign(**{column: products[column].replace(spellings[name])})
    if not spellings:
        return catalog
    return dataclasses.replace(
        catalog, products=products, source=dataclasses.replace(catalog.source, spellings=spellings)
    )


def _described(name: str, groups: Sequence[Sequence[str]], counts: Mapping[str, int], *, merge: bool) -> str:
    listed = "; ".join(", ".join(f"{label!r} ({counts[label]:,})" for label in group) for group in groups[:_NAMED])
    more = f" and {len(groups) - _NAMED} more groups" if len(groups) > _NAMED else ""
    end = "merged, each into the first" if merge else "they are different classes; --merge-labels merges them"
    return f"labels of {name!r} that differ only in case: {listed}{more}: {end}"
