"""The drawing function of each category in the built-in catalogue, and the pictures that categories share."""

from collections.abc import Callable, Mapping

import numpy as np

from training.catalog.drawing import clothes, goods
from training.catalog.drawing.canvas import Canvas, Colour

Draw = Callable[[Canvas, Colour, str, np.random.Generator], None]

PATTERNS = ("Solid", "Striped", "Checked")

DRAWINGS: Mapping[str, Draw] = {
    "Backpacks": goods.backpack,
    "Caps": clothes.cap,
    "Dresses": clothes.dress,
    "Handbags": goods.handbag,
    "Shirts": clothes.shirt,
    "Shoes": goods.shoe,
    "Socks": clothes.socks,
    "Sunglasses": goods.sunglasses,
    "Trousers": clothes.trousers,
    "Watches": goods.watch,
}

BOXED = ("Handbags", "Shoes", "Sunglasses", "Watches")
SHARED_DRAWINGS: Mapping[str, Draw] = {name: goods.box if name in BOXED else clothes.swatch for name in DRAWINGS}
"""Drawing functions that do not show the category: a close-up of the cloth, or a closed box."""
