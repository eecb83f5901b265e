"""Which cells of a table become which texts."""

from collections.abc import Mapping

# Line of the row, as :class:`training.catalog.formats.row.Row` counts it -> column -> new text.
Changes = Mapping[int, Mapping[str, str]]
