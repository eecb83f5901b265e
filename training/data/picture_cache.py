"""Read pictures as the server does, and keep them decoded in one file, so that training decodes each picture once.

Pictures larger than the model's input are scaled to it; smaller ones keep their size. So
:meth:`handlers.product_serving.preprocessing.ProductPreprocessor.fit` gives the same pixels as for the original.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlers.product_serving.errors import ProductError
from handlers.product_serving.preprocessing import ProductPreprocessor
from training.catalog.files import CatalogError, RowError
from training.catalog.pictures.photograph import open_photograph
from training.catalog.reading import Catalog
from training.system.progress import Bar, progress
from training.system.storage import atomic_path, write_arrays
from training.system.threads import map_threads

PICTURES_AT_ONCE = 512


class BrokenPictureError(CatalogError):
    """A picture broke after the check; the message names it and says how to go on.

    A loader process passes an error on as its class and a traceback text, with the message at its end.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


def read_picture(catalog: Catalog, preprocessor: ProductPreprocessor, name: str) -> Image.Image:
    """The RGB picture of a product, in its original shape.

    Args:
        catalog: checked before.
        name: from the column ``image`` of the catalogue's products.

    Raises:
        BrokenPictureError: the picture is missing or cannot be decoded now.
    """
    try:
        return open_photograph(catalog.image_bytes(name), preprocessor.settings)
    except (RowError, ProductError) as error:
        fault = error.detail if isinstance(error, RowError) else f"{name!r}: {error.message.removeprefix('image: ')}"
        products = catalog.products.loc[catalog.products["image"] == name, "id"].tolist()
        raise BrokenPictureError(
            f"the picture of product {', '.join(products[:3])} in {catalog.source.path} broke after it was checked: "
            f"{fault}; put a whole file in its place, then run the same command again: it goes on where it stopped"
        ) from error


class PictureCache:
    """Pictures by name; safe in threads and forked processes.

    Args:
        pixels: (sum of H*W*3,) uint8, the concatenated pictures, memory-mapped.
        names: n file names in the catalogue.
        sizes: (n, 2) int64, width and height of each picture.
    """

    def __init__(self, pixels: NDArray[np.uint8], names: Sequence[str], sizes: NDArray[np.int64]) -> None:
        self._pixels = pixels
        self._sizes = sizes
        self._ends = np.cumsum(sizes.prod(1) * 3)
        self._position = {name: number for number, name in enumerate(names)}

    def __getitem__(self, name: str) -> Image.Image:
        """An RGB picture.

        Raises:
            KeyError: the name is unknown.
        """
        number = self._position[name]
        width, height = self._sizes[number].tolist()
        end = int(self._ends[number])
        return Image.fromarray(self._pixels[end - width * height * 3 : end].reshape(height, width, 3))


def open_picture_cache(
    folder: Path, catalog: Catalog, names: Sequence[str], preprocessor: ProductPreprocessor
) -> PictureCache:
    """Open the cache of these pictures; create it if there is none.

    Args:
        folder: of the caches; a hash of settings and names identifies each of them.
        names: distinct file names.
        preprocessor: its ``image_size`` is the largest size that is kept.

    Raises:
        BrokenPictureError: a picture cannot be read any more.
        StorageError: the disk has no room for them.
    """
    settings = preprocessor.settings
    parts = (f"{settings.image_size} {settings.image_fit}", catalog.source.path, *names)
    key = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:16]
    pixels, index = folder / f"pictures-{key}.bin", folder / f"pictures-{key}.npz"
    if not index.exists():
        sizes = _decode(pixels, catalog, names, preprocessor)
        write_arrays(index, sizes=sizes)
    with np.load(index, allow_pickle=False) as saved:
        return PictureCache(np.memmap(pixels, dtype=np.uint8, mode="r"), names, saved["sizes"])


def _decode(path: Path, catalog: Catalog, names: Sequence[str], preprocessor: ProductPreprocessor) -> NDArray[np.int64]:
    """Write all pictures into one file; returns their sizes (n, 2)."""
    side = preprocessor.settings.image_size

    def kept(name: str) -> NDArray[np.uint8]:
        picture = read_picture(catalog, preprocessor, name)
        return np.asarray(preprocessor.fit(picture) if max(picture.size) > side else picture)

    sizes = []
    bar: Bar[str] = progress(total=len(names), description="decoding pictures", unit="picture")
    with (
        atomic_path(path) as partial,
        partial.open("wb") as file,
        bar,
    ):
        for start in range(0, len(names), PICTURES_AT_ONCE):
            for pixels in map_threads(kept, names[start : start + PICTURES_AT_ONCE], description="", progress=False):
                file.write(pixels.tobytes())
                sizes.append((pixels.shape[1], pixels.shape[0]))
                bar.update()
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)
