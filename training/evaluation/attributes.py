"""The attributes in an evaluation: those that the run tells and the catalogue has."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handlers.product_serving.settings import Attribute
from training.catalog.files import open_files
from training.catalog.reading import CatalogSource, product_columns
from training.catalog.table import open_table
from training.data.attributes import MISSING, product_targets


def with_targets(source: CatalogSource, attributes: Sequence[Attribute]) -> CatalogSource:
    """The catalogue with the columns to be measured.

    Args:
        source: without a label column, the main attribute's column and those of the others that the catalogue has.
        attributes: of the run.

    Raises:
        CatalogError: the catalogue cannot be read.
    """
    if source.label_column is not None:
        return source
    files = open_files(source.path)
    with files.open_table() as stream:
        header = open_table(stream, name=files.table_name, image_column=source.image_column).header
    main, *further = (attribute.name for attribute in attributes)
    known = [name for name in further if name in header]
    return dataclasses.replace(source, label_column=main, attribute_columns=known)


def known_targets(products: pd.DataFrame, attributes: Sequence[Attribute]) -> NDArray[np.int64]:
    """(N, A) classes; ``MISSING`` also in an attribute that the catalogue does not have.

    Args:
        products: of the catalogue.
        attributes: of the run.
    """
    columns = product_columns([attribute.name for attribute in attributes]).values()
    known = [place for place, column in enumerate(columns) if column in products]
    targets = np.full((len(products), len(attributes)), MISSING, dtype=np.int64)
    targets[:, known] = product_targets(products, [attributes[place] for place in known])
    return targets
