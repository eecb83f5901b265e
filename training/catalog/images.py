"""Decode the pictures of a catalogue as the server does, so that training and serving refuse the same ones."""

from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.files import RowError

LIMITS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),))


def decode_picture(image: bytes, *, name: str) -> Image.Image:
    """Decode a picture within the default limits of a served model.

    Args:
        image: the encoded file.
        name: the file's name, for the message.

    Returns:
        An upright RGB picture, transparency on white; a large photograph may be scaled down.

    Raises:
        RowError: its reason is the error ``type`` of the server.
    """
    try:
        return open_picture(image, LIMITS)
    except ProductError as error:
        raise RowError(error.type, f"{name!r}: {error.message.removeprefix('image: ')}") from error
