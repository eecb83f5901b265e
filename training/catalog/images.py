"""Pictures of a catalogue, decoded as the server decodes them, so that training and serving refuse the same ones."""

from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.files import RowError

LIMITS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),))


def decode_picture(image: bytes, *, name: str) -> Image.Image:
    """Decode a picture within the limits that a served model has unless told otherwise.

    Args:
        image: the encoded file.
        name: of the file, for the message.

    Returns:
        RGB, upright, transparency on white; a photograph may come back scaled down.

    Raises:
        RowError: the reason is the ``type`` that the server would answer.
    """
    try:
        return open_picture(image, LIMITS)
    except ProductError as error:
        raise RowError(error.type, f"{name!r}: {error.message.removeprefix('image: ')}") from error
