"""Where a catalogue is and what its columns are called: enough to read it again."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

IMAGE_COLUMN = "image"
TEXT_COLUMN = "text"
LABEL_COLUMN = "label"
ID_COLUMN = "id"
KAGGLE_LABEL = "articleType"
_LATER_FIELDS = ("format", "encoding", "header", "spellings")


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
        spellings: for each column of labels: spelling -> the label that it counts as.
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
    spellings: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def target_columns(self) -> list[str]:
        """The columns of the A attributes, the main one first; "" if its column is not known yet."""
        return [self.label_column or "", *self.attribute_columns]

    @property
    def columns(self) -> list[str | None]:
        """What decides the rows of the table beside its content, without the labels."""
        said = [each for each in (self.format, self.encoding, self.header) if each is not None]
        return [self.image_column, self.text_column, self.id_column, *said]

    def reading(self, modalities: Sequence[str]) -> "CatalogSource":
        """The source without the columns of other modalities; a row then needs one of ``modalities``."""
        return dataclasses.replace(
            self,
            image_column=self.image_column if "image" in modalities else "",
            text_column=self.text_column if "text" in modalities else "",
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able. What is not said is left out, so that the records of older runs still match."""
        values = {**dataclasses.asdict(self), "attribute_columns": list(self.attribute_columns)}
        return {name: value for name, value in values.items() if value or name not in _LATER_FIELDS}
