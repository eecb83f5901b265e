"""The true classes of an evaluation: the attributes that both the run and the catalogue have."""

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


def with_target_columns(source: CatalogSource, attributes: Sequence[Attribute]) -> CatalogSource:
    """The source with the label columns to measure.

    A source without a label column gets the columns of the run's attributes. The main one is required; the others are
    left out if the catalogue does not have them.

    Args:
        source: the catalogue.
        attributes: the run's attributes, the main one first.

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
    """Classes (N, A); ``MISSING`` where the product has no value or the catalogue does not have the attribute.

    Args:
        products: N rows of the catalogue.
        attributes: A attributes of the run.
    """
    columns = product_columns([attribute.name for attribute in attributes]).values()
    known = [place for place, column in enumerate(columns) if column in products]
    targets = np.full((len(products), len(attributes)), MISSING, dtype=np.int64)
    targets[:, known] = product_targets(products, [attributes[place] for place in known])
    return targets
