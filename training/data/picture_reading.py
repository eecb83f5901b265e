"""Read a picture as the server does. The picture was valid when the catalogue was checked."""

from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.preprocessing import ProductPreprocessor
from training.catalog.files import CatalogError, RowError
from training.catalog.reading import Catalog


class BrokenPictureError(CatalogError):
    """A picture broke after the check; the message names it and says how to go on.

    A loader process passes an error on as its class and a traceback text, with the message at its end.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


def read_picture(catalog: Catalog, preprocessor: ProductPreprocessor, name: str) -> Image.Image:
    """The RGB picture of a product, in its original shape.

    Args:
        catalog: checked before.
        preprocessor: of the model.
        name: from the column ``image`` of the catalogue's products.

    Raises:
        BrokenPictureError: the picture is missing or cannot be decoded now.
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
