"""Pictures of a catalogue, opened as the server opens them, so that training and serving refuse the same ones."""

import io

from PIL import Image

from training.catalog_files import RowError


def open_picture(image: bytes) -> Image.Image:
    """Decode a picture: upright, RGB, at its own size."""
    try:
        with Image.open(io.BytesIO(image), formats=("JPEG", "PNG", "WEBP")) as p:
            return p.convert("RGB")
    except Exception as error:
        raise RowError("image_corrupt", str(error)) from error
