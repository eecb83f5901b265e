"""Products of a catalogue with damaged pictures."""

from typing import Any

from PIL import Image, ImageOps

from training.data.damage.draws import product_random
from training.data.damage.pictures import PictureDamage
from training.data.dataset import ProductDataset


class DamagedPictures(ProductDataset):
    """Products whose pictures are damaged before they are made square; titles are not read.

    A picture larger than the models' input is scaled down first, so that damage means the same for all pictures.

    Args:
        arguments: as of :class:`ProductDataset`; ``products`` has ``id``, which with ``seed`` decides the damage.
        damage: RGB picture, generator -> RGB picture.
    """

    def __init__(self, *arguments: Any, damage: PictureDamage, **named: Any) -> None:
        super().__init__(*arguments, modalities=("image",), **named)
        self.ids = arguments[1]["id"].tolist()
        self.damage = damage

    def picture(self, row: int) -> Image.Image:
        """The damaged RGB picture of a row that has one, not yet square."""
        picture, size = super().picture(row), self.preprocessor.settings.image_size
        if max(picture.size) > size:
            picture = ImageOps.contain(picture, (size, size), method=Image.Resampling.BICUBIC)
        return self.damage(picture, product_random(self.seed, self.ids[row], "picture"))
