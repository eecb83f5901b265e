"""The section on the attention of the intermediate model: the picture cells that attend to each word of the title.

Legend: N picture cells, row by row of a square grid, K keys (the null key, then the title's tokens).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image, ImageOps

from training.reporting.document.blocks import Figure, Paragraph, Section
from training.reporting.figures.style import FADED, INK, MUTED, WRONG, draw_text, drawing, square_axes
from training.reporting.sections.report_data import ReportData

MAX_KEYS = 7
PICTURE_SIZE = 224
KEY_NAMES = {"[none]": "null key", "[CLS]": "[CLS], whole title", "[SEP]": "[SEP], end of title"}
SHOWN_ATTENTION = 4


class AttendedProduct(NamedTuple):
    """A product with the attention of its picture's cells.

    Args:
        picture: square, as the model read it.
        title: as in the catalogue.
        keys: K names.
        weights: (N, K); rows sum to 1.
    """

    picture: Image.Image
    title: str
    keys: Sequence[str]
    weights: NDArray[np.float32]


def attention(data: ReportData) -> Iterator[Section]:
    """The section with attention maps of a few products; none if the run has not kept the attention."""
    run, catalog = data.run, data.catalog
    path = run.folder / "intermediate" / "attention.npz"
    if catalog.unreadable or not path.is_file():
        return
    squash = run.record.arguments["image_fit"] == "squash"
    products: list[AttendedProduct] = []
    for product, keys, weights in read_attention(path):
        picture = catalog.picture(product)
        if picture is not None and len(products) < SHOWN_ATTENTION:
            products.append(AttendedProduct(_square(picture, squash=squash), catalog.title(product), keys, weights))
    if products:
        draw_attention(data.figures / "attention.png", products)
        figure = Figure("attention.png", "Pictures of products, coloured where they attend to each word of the title")
        yield Section("attention", "Attention of the intermediate model", [Paragraph(_ATTENTION), figure])


_ATTENTION = (
    "Each cell of the picture distributes its attention over the title's words and a learned null key, which stands "
    "for “nothing in the title”. The stronger the colour, the more attention the cell pays to that word. Full colour "
    "is the highest attention in the row; the number above the first picture gives it. The number beside a word is the "
    "mean over all cells. A word of several word pieces has the mean of its pieces. Attention shows where the model "
    "looked, not why it chose its answer."
)


def _square(picture: Image.Image, *, squash: bool) -> Image.Image:
    """The picture as the model read it, at the size of the drawing."""
    if squash:
        return picture.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BICUBIC)
    return ImageOps.pad(picture, (PICTURE_SIZE, PICTURE_SIZE), method=Image.Resampling.BICUBIC, color="white")


def read_attention(path: Path) -> list[tuple[str, list[str], NDArray[np.float32]]]:
    """Id, keys and (N, K) weights of every product in ``attention.npz``. Word pieces are joined to words."""
    with np.load(path, allow_pickle=False) as saved:
        rows = zip(saved["ids"], saved["tokens"], saved["weights"], strict=True)
        return [(str(product), *join_pieces(tokens.tolist(), weights)) for product, tokens, weights in rows]


def join_pieces(tokens: Sequence[str], weights: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
    """Join WordPiece tokens to words and leave out padding.

    A word's weight is the mean over its pieces. A sum would favour rare words: they have more pieces.

    Args:
        tokens: K names, "" where padded.
        weights: (N, K).

    Returns:
        Words, and weights (N, words).
    """
    words: list[str] = []
    columns: list[list[NDArray[np.float32]]] = []
    for token, column in zip(tokens, weights.T, strict=True):
        if token.startswith("##") and words:
            words[-1] += token.removeprefix("##")
            columns[-1].append(column)
        elif token:
            words.append(token)
            columns.append([column])
    return words, np.stack([np.mean(pieces, axis=0) for pieces in columns], axis=1)


def draw_attention(path: Path, products: Sequence[AttendedProduct]) -> None:
    """Draw a row for each product: its picture, then a map for the null key and for each of the strongest words.

    The colour grows with the attention, on one scale for the row. The number is the mean over all cells.
    """
    width, height, side = 1.42, 1.98, 1.32
    with drawing(path, width=(MAX_KEYS + 1) * width, height=len(products) * height, layout=None) as figure:
        for row, product in enumerate(products):
            top = (len(products) - row) * height - 0.05
            draw_text(figure, product.title or "no title", left=0.06, top=top, width=9, size=9, bold=True)
            for column, panel in enumerate(_panels(product)):
                left = 0.06 + column * width
                draw_text(figure, panel.name, left=left, top=top - 0.24, width=side, size=8, color=panel.colour)
                axes = square_axes(figure, left=left, bottom=top - 0.44 - side, side=side)
                for layer in panel.layers:
                    axes.imshow(layer, extent=(0, 1, 0, 1))
                axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=FADED, linewidth=1, clip_on=False))


class _Panel(NamedTuple):
    """A picture, drawn as layers one above the other, and the text above it."""

    name: str
    colour: str
    layers: Sequence[NDArray[Any]]


def _panels(product: AttendedProduct) -> Iterator[_Panel]:
    strongest = max(float(product.weights.max()), 1e-6)
    yield _Panel(f"full colour {_percent(strongest)}", MUTED, [np.asarray(product.picture)])
    faint = _faint(product.picture)
    for key in _strongest_keys(product.weights):
        weights, name = product.weights[:, key], KEY_NAMES.get(product.keys[key], product.keys[key])
        yield _Panel(f"{name} {_percent(float(weights.mean()))}", INK, [faint, _heat(weights / strongest)])


def _percent(share: float) -> str:
    return "<1 %" if share < 0.005 else f"{100 * share:.0f} %"


def _strongest_keys(weights: NDArray[np.float32]) -> list[int]:
    """The null key and the words with the most attention, in the title's order."""
    words = 1 + np.argsort(-weights[:, 1:].mean(0), kind="stable")[: MAX_KEYS - 1]
    return [0, *(int(word) for word in np.sort(words))]


def _faint(picture: Image.Image) -> NDArray[np.float64]:
    """A light grey version, (side, side, 3), on which the colour stands out."""
    grey = np.asarray(ImageOps.grayscale(picture), dtype=np.float64) / 255
    return np.repeat((0.45 + 0.55 * grey)[..., None], 3, axis=2)


def _heat(cells: NDArray[np.float32]) -> NDArray[np.float64]:
    """Strengths (N,) from 0 to 1 -> RGBA (PICTURE_SIZE, PICTURE_SIZE, 4): one colour, with the strength as opacity."""
    side = round(len(cells) ** 0.5)
    grid = Image.fromarray(cells.reshape(side, side).astype(np.float32))
    strength = np.asarray(grid.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BICUBIC), dtype=np.float64)
    heat = np.empty((PICTURE_SIZE, PICTURE_SIZE, 4))
    heat[..., :3], heat[..., 3] = to_rgb(WRONG), 0.85 * strength.clip(0, 1)
    return heat
