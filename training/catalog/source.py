"""Where a catalogue is and what its columns are called: enough to read it again."""

import dataclasses
from collections.abc import Sequence
from typing import Any

IMAGE_COLUMN = "image"
TEXT_COLUMN = "text"
LABEL_COLUMN = "label"
ID_COLUMN = "id"
KAGGLE_LABEL = "articleType"
_LATER_FIELDS = ("format", "encoding", "header")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CatalogSource:
    """The path of a catalogue and the names of its columns; enough to read it again.

    Args:
        path: a table, or a folder or zip that holds one or has a folder of pictures for each class.
        image_column: column with the picture's path, relative to the table, or with the picture itself in a Parquet;
            the Kaggle layout has none. "" goes on without pictures.
        text_column: column with the title; ``productDisplayName`` in the Kaggle layout. "" goes on without titles.
        label_column: column of the main attribute; None takes ``label``, ``articleType`` in the Kaggle layout, or an
            export's levels of the category. Of a list with commas the others become ``attribute_columns``.
        id_column: column with the product's id; None takes ``id`` if there is one, else the row's line in the file; ""
            takes the line in any case.
        attribute_columns: columns of the further attributes; a row needs no value there.
        format: a key of :data:`training.catalog.presets.PRESETS`, whose columns are taken where the defaults stand.
        encoding: of a text, such as ``cp1254``; None finds it out.
        header: names of the columns of a table without a header, separated by commas; None if its first row has them.
    """

    path: str
    image_column: str = IMAGE_COLUMN
    text_column: str = TEXT_COLUMN
    label_column: str | None = None
    id_column: str | None = None
    attribute_columns: Sequence[str] = ()
    format: str | None = None
    encoding: str | None = None
    header: str | None = None

    @property
    def target_columns(self) -> list[str]:
        """The columns of the A attributes, the main one first; "" if its column is not known yet."""
        return [self.label_column or "", *self.attribute_columns]

    @property
    def columns(self) -> list[str | None]:
        """What decides the rows of the table beside its content, without the labels."""
        said = [each for each in (self.format, self.encoding, self.header) if each is not None]
        return [self.image_column, self.text_column, self.id_column, *said]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able. What is not said is left out, so that the records of older runs still match."""
        values = {**dataclasses.asdict(self), "attribute_columns": list(self.attribute_columns)}
        return {name: value for name, value in values.items() if value is not None or name not in _LATER_FIELDS}
