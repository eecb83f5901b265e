"""The section on the attention of the intermediate model."""

from collections.abc import Iterator

from PIL import Image, ImageOps

from training.reporting.document.blocks import Figure, Paragraph, Section
from training.reporting.figures.attention import PICTURE_SIZE, AttendedProduct, draw_attention, read_attention
from training.reporting.sections.report_data import ReportData

SHOWN_ATTENTION = 4


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
