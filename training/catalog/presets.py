"""The exports of shop systems: which columns they have, and how they write a category.

By their public documentation: Shopify's product CSV (of both generations), WooCommerce's product export, Magento's
(Adobe Commerce's) product export, Google's product data specification, and Kaggle's *Fashion Product Images*.
"""

import dataclasses
from collections.abc import Mapping, Sequence

LEVEL = "level"
MOST_LEVELS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """The columns of an export.

    Args:
        image, text, id, category: names of the column in the versions of the export, the preferred one first.
        marks: columns that together only this export has; one tuple for each version.
        between: separators between the levels of a category.
        alternatives: separators between several categories in one cell; the deepest one counts.
        roots: names of a first level that tells nothing.
        levels: columns that are the levels themselves; then there is no category column to split.
    """

    image: Sequence[str]
    text: Sequence[str]
    id: Sequence[str]
    category: Sequence[str]
    marks: Sequence[Sequence[str]]
    between: Sequence[str] = (">",)
    alternatives: Sequence[str] = ()
    roots: frozenset[str] = frozenset()
    levels: Sequence[str] = ()


PRESETS: Mapping[str, Preset] = {
    "shopify": Preset(
        image=("Image Src", "Product image URL", "Variant Image"),
        text=("Title",),
        id=("Handle", "URL handle"),
        category=("Product Category", "Product category", "Standardized Product Type", "Custom Product Type", "Type"),
        marks=(("Handle", "Title", "Variant SKU"), ("Handle", "Title", "Image Src"), ("URL handle", "Title")),
    ),
    "woocommerce": Preset(
        image=("Images",),
        text=("Name",),
        id=("ID", "SKU"),
        category=("Categories",),
        marks=(("Name", "Categories", "Images"), ("SKU", "Name", "Categories", "Regular price")),
        alternatives=(",",),
    ),
    "magento": Preset(
        image=("base_image", "image", "small_image", "thumbnail_image"),
        text=("name",),
        id=("sku",),
        category=("categories", "_category"),
        marks=(
            ("sku", "name", "categories", "base_image"),
            ("sku", "name", "categories", "product_websites"),
            ("sku", "attribute_set_code", "product_type"),
        ),
        between=("/",),
        alternatives=(",", "|"),
        roots=frozenset({"default category", "root catalog"}),
    ),
    "google-merchant": Preset(
        image=("image_link", "image link"),
        text=("title",),
        id=("id",),
        category=("product_type", "product type", "google_product_category", "google product category"),
        marks=(("id", "title", "image_link"), ("id", "title", "image link")),
    ),
    "kaggle-fashion": Preset(
        image=(),
        text=("productDisplayName",),
        id=("id",),
        category=("articleType",),
        marks=(("id", "productDisplayName", "articleType"),),
        levels=("masterCategory", "subCategory", "articleType"),
    ),
}


def recognised(header: Sequence[str]) -> str | None:
    """The name of the preset that a header matches; None if it matches none or several."""
    there = {name.casefold() for name in header}
    found = [
        name
        for name, preset in PRESETS.items()
        if any({column.casefold() for column in marks} <= there for marks in preset.marks)
    ]
    return found[0] if len(found) == 1 else None


def column_in(header: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of some names that a header has, in any case; None if it has none of them."""
    there = {name.casefold(): name for name in reversed(header)}
    return next((there[name.casefold()] for name in names if name.casefold() in there), None)


def category_levels(cell: str, preset: Preset) -> list[str]:
    """The levels of a category, the widest first, ``MOST_LEVELS`` at most; the deepest of several categories counts."""
    paths = [[level.strip() for level in _split(each, preset.between)] for each in _split(cell, preset.alternatives)]
    cleaned = [[level for level in path if level] for path in paths]
    named = [path[1:] if path and path[0].casefold() in preset.roots else path for path in cleaned]
    return max(named, key=len, default=[])[:MOST_LEVELS]


def level_names(count: int = MOST_LEVELS) -> list[str]:
    """``level1``, ``level2``, ..."""
    return [f"{LEVEL}{number + 1}" for number in range(count)]


def _split(text: str, separators: Sequence[str]) -> list[str]:
    r"""The parts between separators; ``\,`` is no separator but a comma in a name."""
    parts = [text]
    for separator in separators:
        escaped = f"\\{separator}"
        parts = [
            part.replace("\0", separator) for whole in parts for part in whole.replace(escaped, "\0").split(separator)
        ]
    return parts
