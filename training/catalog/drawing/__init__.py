"""Drawn products: what each category of the built-in catalogue looks like, and which pictures categories share."""

from collections.abc import Callable, Mapping

import numpy as np

from training.catalog.drawing import clothes, goods
from training.catalog.drawing.canvas import Canvas, Colour

Draw = Callable[[Canvas, Colour, str, np.random.Generator], None]

PATTERNS = ("Solid", "Striped", "Checked")

PRODUCTS: Mapping[str, Draw] = {
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

SHARED: Mapping[str, Draw] = {
    "Backpacks": clothes.swatch,
    "Caps": clothes.swatch,
    "Dresses": clothes.swatch,
    "Handbags": goods.box,
    "Shirts": clothes.swatch,
    "Shoes": goods.box,
    "Socks": clothes.swatch,
    "Sunglasses": goods.box,
    "Trousers": clothes.swatch,
    "Watches": goods.box,
}
"""What a picture of the category shows when it does not tell: the cloth alone, or the closed box."""
