"""The built-in catalogue: drawn product pictures with titles. Neither modality is enough to classify all products.

``python -m training sample FOLDER`` writes ``FOLDER/products.csv`` with the columns image, text and label, and the
pictures ``FOLDER/images/*.jpg``. Your own catalogue may have the same format.

In each category, ``VAGUE_SHARE`` of the products have a title that does not name the category ("Marlow Men Navy
Classic"). The same share have a picture that other categories share (a close-up of the cloth, a closed box).
``BOTH_SHARE`` have both. So the title model has to guess where the picture model knows, and the other way round.
"""

import csv
import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training.catalog.drawing import DRAWINGS, PATTERNS, SHARED_DRAWINGS
from training.catalog.drawing.canvas import Canvas, Colour, Placement, photograph
from training.catalog.files import CatalogError
from training.system.progress import progress as shown_progress

VERSION = 1
VAGUE_SHARE = 0.27
BOTH_SHARE = 0.02
CSV_NAME = "products.csv"
MARKER = "sample.json"

SIZES = ((192, 256), (224, 224), (256, 192))
BACKDROPS: Sequence[Colour] = ((250, 250, 250), (244, 243, 240), (232, 234, 238), (240, 230, 220), (222, 228, 226))
COLOURS: Mapping[str, Colour] = {
    "Black": (38, 38, 42),
    "White": (242, 241, 238),
    "Navy": (34, 46, 88),
    "Red": (186, 40, 48),
    "Green": (48, 118, 74),
    "Olive": (110, 112, 64),
    "Brown": (112, 72, 46),
    "Beige": (208, 184, 146),
    "Grey": (132, 136, 142),
    "Pink": (228, 138, 164),
    "Yellow": (230, 188, 66),
    "Purple": (104, 68, 138),
    "Teal": (32, 126, 132),
    "Maroon": (112, 30, 46),
    "Blue": (62, 112, 188),
}
BRANDS = (
    *("Marlow", "Northbay", "Tessaro", "Oakline", "Velmora", "Halden", "Pemberry", "Rivetta", "Sundale", "Corwick"),
    *("Elmhurst", "Fernwick", "Quillon", "Larkspur"),
)
STYLES = (
    *("Classic", "Casual", "Urban", "Weekend", "Heritage", "Essential", "Signature", "Travel", "Studio", "Everyday"),
    *("Coastal", "Modern"),
)
NOUNS: Mapping[str, Sequence[str]] = {
    "Backpacks": ("Backpack", "Rucksack", "Daypack"),
    "Caps": ("Cap", "Baseball Cap", "Snapback Cap"),
    "Dresses": ("Dress", "Summer Dress", "Wrap Dress"),
    "Handbags": ("Handbag", "Tote Bag", "Shoulder Bag"),
    "Shirts": ("Shirt", "Oxford Shirt", "Poplin Shirt"),
    "Shoes": ("Shoes", "Sneakers", "Derby Shoes"),
    "Socks": ("Socks", "Crew Socks", "Ankle Socks"),
    "Sunglasses": ("Sunglasses", "Aviator Sunglasses", "Shades"),
    "Trousers": ("Trousers", "Chinos", "Pleated Trousers"),
    "Watches": ("Watch", "Wristwatch", "Analogue Watch"),
}
FOR_WOMEN = frozenset({"Dresses", "Handbags"})
PLAIN = frozenset({"Sunglasses"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleProduct:
    """One product to be drawn.

    Args:
        category: its label, a key of :data:`training.catalog.drawing.DRAWINGS`.
        colour: a key of ``COLOURS``.
        pattern: one of :data:`training.catalog.drawing.PATTERNS`.
        title_names_category: False for a vague title.
        picture_shows_product: False for a picture that other categories share.
    """

    category: str
    title: str
    colour: str
    pattern: str
    title_names_category: bool
    picture_shows_product: bool


def plan_products(*, per_class: int, seed: int) -> list[SampleProduct]:
    """Invent ``per_class`` products of each category, in random order.

    Raises:
        CatalogError: ``per_class`` is not positive.
    """
    if per_class < 1:
        raise CatalogError(f"per_class must be > 0, got {per_class}")
    rng = np.random.default_rng(seed)
    vague, both = round(VAGUE_SHARE * per_class), round(BOTH_SHARE * per_class)
    # (title_names_category, picture_shows_product) of each product in a category
    clues = [(False, True)] * (vague - both) + [(True, False)] * (vague - both) + [(False, False)] * both
    clues += [(True, True)] * (per_class - len(clues))
    products = [
        _invent(category, title_names_category=named, picture_shows_product=shown, rng=rng)
        for category in DRAWINGS
        for named, shown in clues
    ]
    return [products[i] for i in rng.permutation(len(products))]


def draw_product(product: SampleProduct, *, seed: int | Sequence[int]) -> Image.Image:
    """Draw one product.

    Args:
        seed: decides size, pose, light and shape; equal seeds give equal pixels.

    Returns:
        An RGB picture, 192 to 256 pixels wide and high.
    """
    rng = np.random.default_rng(seed)
    width, height = SIZES[rng.integers(len(SIZES))]
    placement = Placement(
        size=rng.uniform(0.38, 0.46),
        stretch=rng.uniform(0.85, 1.15),
        turn=rng.normal(0, 4),
        shift=(rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03)),
        mirror=bool(rng.random() < 0.5),
    )
    canvas = Canvas(width, height, placement)
    draw = (DRAWINGS if product.picture_shows_product else SHARED_DRAWINGS)[product.category]
    draw(canvas, _dye(product.colour, rng), product.pattern, rng)
    return photograph(
        canvas,
        backdrop=BACKDROPS[int(rng.integers(len(BACKDROPS)))],
        light=(-0.6 if rng.random() < 0.5 else 0.6, -0.8),
        grain=rng.uniform(1, 3),
        rng=rng,
    )


def write_sample_catalog(folder: Path | str, *, per_class: int = 100, seed: int = 0, progress: bool = True) -> Path:
    """Write the catalogue into ``folder``. The folder appears when it is complete; an equal catalogue there is kept.

    Args:
        folder: new, empty, or with the same catalogue.
        per_class: products of each category.
        seed: equal seeds give equal catalogues.

    Returns:
        The path of the catalogue's CSV.

    Raises:
        CatalogError: the folder holds something else, or ``per_class`` is not positive.
    """
    folder = Path(folder)
    products = plan_products(per_class=per_class, seed=seed)
    marker = json.dumps({"version": VERSION, "per_class": per_class, "seed": seed})
    if not _is_written(folder, marker, count=len(products)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            whole = Path(temporary) / folder.name
            _write(whole, products, seed=seed, progress=progress)
            (whole / MARKER).write_text(marker, encoding="utf-8")
            _publish(whole, folder, marker, count=len(products))
    return folder / CSV_NAME


def _invent(
    category: str, *, title_names_category: bool, picture_shows_product: bool, rng: np.random.Generator
) -> SampleProduct:
    colour = str(rng.choice(list(COLOURS)))
    pattern = "Solid" if category in PLAIN else str(rng.choice(PATTERNS, p=(0.6, 0.25, 0.15)))
    gender = rng.choice(
        ["Men", "Women", "Unisex"], p=(0.1, 0.75, 0.15) if category in FOR_WOMEN else (0.42, 0.42, 0.16)
    )
    words = [rng.choice(BRANDS), gender, colour, *([pattern] if pattern != "Solid" else []), rng.choice(STYLES)]
    if title_names_category:
        words.append(rng.choice(list(NOUNS[category])))
    return SampleProduct(
        category=category,
        title=" ".join(str(word) for word in words),
        colour=colour,
        pattern=pattern,
        title_names_category=title_names_category,
        picture_shows_product=picture_shows_product,
    )


def _dye(name: str, rng: np.random.Generator) -> Colour:
    shade, cast = rng.integers(-10, 11), rng.integers(-5, 6, 3)
    red, green, blue = (
        int(np.clip(value + shade + tinge, 0, 255)) for value, tinge in zip(COLOURS[name], cast, strict=True)
    )
    return red, green, blue


def _write(folder: Path, products: Sequence[SampleProduct], *, seed: int, progress: bool) -> None:
    (folder / "images").mkdir(parents=True)
    with (folder / CSV_NAME).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "text", "label"])
        for number, product in enumerate(
            shown_progress(products, description="drawing", unit="picture", leave=True, shown=progress)
        ):
            name = f"images/{number + 1:05d}.jpg"
            draw_product(product, seed=(seed, number)).save(folder / name, quality=90)
            rows.writerow([name, product.title, product.category])


def _is_written(folder: Path, marker: str, *, count: int) -> bool:
    """True if ``folder`` holds exactly this catalogue; False if it is missing or empty."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / MARKER).is_file():
        raise CatalogError(f"{folder} holds other files: choose another folder")
    advice = "delete it or choose another folder"
    found = (folder / MARKER).read_text(encoding="utf-8")
    if found != marker:
        raise CatalogError(f"{folder} holds another sample catalogue ({found}, wanted {marker}): {advice}")
    if not (folder / CSV_NAME).is_file() or len(list((folder / "images").glob("*.jpg"))) != count:
        raise CatalogError(f"{folder} holds a damaged sample catalogue: {advice}")
    return True


def _publish(whole: Path, folder: Path, marker: str, *, count: int) -> None:
    try:
        whole.rename(folder)
    except OSError:
        # Another process may have written the same catalogue meanwhile.
        if not _is_written(folder, marker, count=count):
            raise
