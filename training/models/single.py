"""The heads of the single models, by tower."""

from training.models.head import Head
from training.models.image import ImageHead
from training.models.lexical import LexicalHead
from training.models.text import TextHead

SINGLE_HEADS: dict[str, type[Head]] = {"image": ImageHead, "text": TextHead, "lexical": LexicalHead}


def single_heads(*, image_width: int, text_width: int, classes: int, lexical_width: int = 0) -> dict[str, Head]:
    """Untrained heads of a fusion's single models, by tower.

    Args:
        image_width: D of the image encoder.
        text_width: D of the text encoder.
        classes: C.
        lexical_width: D of the lexical encoder; 0 without one.
    """
    return {
        name: head(image_width=image_width, text_width=text_width, classes=classes, lexical_width=lexical_width)
        for name, head in SINGLE_HEADS.items()
        if name != "lexical" or lexical_width
    }
