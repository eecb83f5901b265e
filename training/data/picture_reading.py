"""Reading a picture that was whole when the catalogue was checked, as the server reads it."""

from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.preprocessing import ProductPreprocessor
from training.catalog.files import CatalogError, RowError
from training.catalog.reading import Catalog


class BrokenPictureError(CatalogError):
    """A picture broke while it was needed; the message says which, and how to go on.

    A loader process hands an error on as its class and a text that has the message at its end.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


def read_picture(catalog: Catalog, preprocessor: ProductPreprocessor, name: str) -> Image.Image:
    """The RGB picture of a product, not yet square.

    Args:
        catalog: checked before.
        preprocessor: as served.
        name: as in the column ``image`` of the catalogue's products.

    Raises:
        BrokenPictureError: it is not there any more, or cannot be decoded any more.
    """
    try:
        return preprocessor.picture(catalog.image_bytes(name))
    except (RowError, ProductError) as error:
        fault = error.detail if isinstance(error, RowError) else f"{name!r}: {error.message.removeprefix('image: ')}"
        products = catalog.products.loc[catalog.products["image"] == name, "id"].tolist()
        raise BrokenPictureError(
            f"the picture of product {', '.join(products[:3])} in {catalog.source.path} broke after it was checked: "
            f"{fault}; put a whole file in its place, then run the same command again: it goes on where it stopped"
        ) from error
