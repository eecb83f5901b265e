"""How long decoding and fitting of a photograph takes, against a 224-pixel picture and against libjpeg-turbo alone.

``python -m benchmarks.studies.photo_decoding`` draws photographs of 1080 x 1440 pixels with noise like a camera's. Each
round takes every way once, in turn, in one thread, so that the ratios are paired. "libjpeg-turbo alone" is Pillow's
decoder at the same scale without any check, rotation or fitting; "whole" is the same at full size.
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, __version__

from handlers.product_serving.picture import open_picture
from handlers.product_serving.settings import Attribute, ProductSettings
from training.catalog.drawn import draw_product, plan_products
from training.system.storage import write_json

SETTINGS = ProductSettings(model="image", attributes=(Attribute(name="label", labels=("label",)),))
PHOTO, EDGE = (1080, 1440), 224
NOISE = 6.0  # standard deviation, of 255; a photograph then has 0.4 MB
QUALITY = 90


def main() -> None:
    """Measure, and print the medians and paired ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=20, help="rounds (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=10, help="pictures in a round (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    result = measure(rounds=options.rounds, pictures=options.pictures)
    print(json.dumps(result, indent=2))
    if options.out is not None:
        write_json(options.out, result)


def measure(*, rounds: int, pictures: int) -> dict[str, object]:
    """Processor time of each way.

    Returns:
        ``milliseconds``: the median of a picture by way. ``times_a_small_picture`` and ``times_turbo_alone``: medians
        of the paired ratios. ``difference``: mean difference of the fitted pixels to those of the whole decoding.
    """
    photos = [_photo(number) for number in range(pictures)]
    small = [_jpeg(_fitted(Image.open(io.BytesIO(photo)).convert("RGB"))) for photo in photos]
    scale = open_picture(photos[0], SETTINGS).size
    ways: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
        "photo": (lambda image: _fitted(open_picture(image, SETTINGS)), photos),
        "small picture": (lambda image: _fitted(open_picture(image, SETTINGS)), small),
        "libjpeg-turbo alone": (lambda image: _decoded(image, scale), photos),
        "libjpeg-turbo alone, whole": (lambda image: _decoded(image, PHOTO), photos),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, images) in ways.items():
            began = time.process_time()
            for image in images:
                way(image)
            times[name].append((time.process_time() - began) / len(images))
    return {
        "pillow": __version__,
        "bytes": round(statistics.mean(map(len, photos))),
        "decoded_at": scale,
        "milliseconds": {name: round(1000 * statistics.median(values), 2) for name, values in times.items()},
        "times_a_small_picture": _ratio(times["photo"], times["small picture"]),
        "times_turbo_alone": _ratio(times["photo"], times["libjpeg-turbo alone"]),
        "difference": round(statistics.mean(map(_difference, photos)), 2),
    }


def _photo(number: int) -> bytes:
    [product, *_] = plan_products(per_class=1, seed=number)
    pixels = np.asarray(draw_product(product, seed=number).resize(PHOTO, Image.Resampling.BICUBIC), dtype=np.float32)
    noise = np.random.default_rng(number).normal(0, NOISE, (*pixels.shape[:2], 1))
    return _jpeg(Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)))


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _fitted(picture: Image.Image) -> Image.Image:
    return ImageOps.pad(picture, (EDGE, EDGE), method=Image.Resampling.BICUBIC, color="white")


def _decoded(image: bytes, size: tuple[int, int]) -> Image.Image:
    picture = Image.open(io.BytesIO(image), formats=("JPEG",))
    picture.draft("RGB", size)
    picture.load()
    return picture


def _difference(photo: bytes) -> float:
    whole, scaled = (
        np.asarray(_fitted(each), dtype=np.int16) for each in (_decoded(photo, PHOTO), open_picture(photo, SETTINGS))
    )
    return float(np.abs(whole - scaled).mean())


def _ratio(one: list[float], other: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(one, other, strict=True)), 2)


if __name__ == "__main__":
    main()
