"""Feature extraction: run the encoders over the products once, and keep the features on disk.

A hash of encoder weights, preprocessing and products is part of the file name, so a stale file is never read. Pictures
give (N, cells, D) float16. Titles give the concatenated tokens of all distinct titles: most titles are short, and many
products share one. An interrupted extraction resumes after its last batch: see :mod:`training.features.files`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import skip_first_batches
from numpy.typing import NDArray
from torch import nn

from handlers.product_serving.preprocessing import ProductPreprocessor, padded
from training.data.dataset import LabelledProducts, ProductDataset, product_loader
from training.features.batches import Features
from training.features.files import read_or_compute
from training.models import Encoders
from training.models.encoders import ImageEncoder, TextEncoder
from training.models.lexical_encoder import LexicalEncoder
from training.system.device import Device
from training.system.progress import progress


def extract_features(
    folder: Path,
    dataset: ProductDataset,
    *,
    encoders: Encoders,
    device: Device,
    more_titles: Sequence[Sequence[str]] = (),
    batch_size: int = 64,
    processes: int = 0,
) -> Features:
    """Extract the features of a dataset, or read those that an earlier call left in ``folder``.

    Args:
        folder: of the feature files.
        dataset: N products.
        encoders: a missing one gives an empty cell, token or feature for each product.
        more_titles: V - 1 damaged forms of the N titles.
        batch_size: number of pictures, or titles, in a batch.
        processes: extra processes that decode pictures.

    Returns:
        Features of the dataset's rows, memory-mapped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = [[bool(image), bool(text)] for image, text in zip(dataset.images, dataset.texts, strict=True)]
    image: NDArray[np.float16] = np.broadcast_to(np.zeros((1, 1, 1), np.float16), (len(dataset), 1, 1))
    if (image_encoder := encoders.image) is not None:
        path = folder / f"image-{_key(image_encoder, dataset, dataset.images)}.npy"
        loader = product_loader(dataset, batch_size=batch_size, processes=processes)
        rows = [min(batch_size, len(dataset) - start) for start in range(0, len(dataset), batch_size)]
        image = read_or_compute(path, lambda done: _image_features(loader, image_encoder, device, done), rows=rows)
    forms = [dataset.texts, *more_titles]
    starts = lengths = titles = np.zeros((len(forms), len(dataset)), np.int64)
    tokens: NDArray[np.float16] = np.zeros((1, 1), np.float16)
    if (text_encoder := encoders.text) is not None:
        path = folder / f"text-{_key(text_encoder, dataset, [text for form in forms for text in form])}.npy"
        ids, starts, lengths = _distinct_titles(dataset.preprocessor, forms)
        batches = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
        rows = [sum(map(len, batch)) for batch in batches]
        tokens = read_or_compute(path, lambda done: _text_features(batches, text_encoder, device, done), rows=rows)
    lexical: NDArray[np.float32] = np.zeros((1, 0), np.float32)
    if encoders.lexical is not None:
        distinct, titles = _distinct(forms)
        lexical = _lexical_features(
            [dataset.preprocessor.ngrams(title) for title in distinct], encoders.lexical, device
        )
    return Features(image, tokens, starts, np.maximum(lengths, 1), lexical, titles, np.array(present), dataset.targets)


def weights_sha256(module: nn.Module) -> str:
    """Sha256 in hexadecimal over all parameters and buffers with their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _image_features(
    loader: "torch.utils.data.DataLoader[LabelledProducts]", encoder: ImageEncoder, device: Device, done: int
) -> Iterator[NDArray[np.float16]]:
    device.take(encoder).eval()
    batches = skip_first_batches(loader, done) if done else loader
    bar = progress(batches, description="picture features", unit="batch", initial=done, total=len(loader), leave=None)
    for (image, *_), _ in bar:
        with device.autocast():
            cells = encoder(image.to(device.name))
        yield cells.half().cpu().numpy()


@torch.no_grad()
def _text_features(
    batches: Sequence[Sequence[NDArray[np.int64]]], encoder: TextEncoder, device: Device, done: int
) -> Iterator[NDArray[np.float16]]:
    device.take(encoder).eval()
    bar = progress(
        batches[done:], description="title features", unit="batch", initial=done, total=len(batches), leave=None
    )
    for titles in bar:
        lengths = np.array([len(title) for title in titles])
        mask = torch.from_numpy((np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)).to(device.name)
        padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(title) for title in titles], batch_first=True)
        with device.autocast():
            tokens = encoder(padded.to(device.name), mask)
        yield tokens[mask.bool()].half().cpu().numpy()


@torch.no_grad()
def _lexical_features(
    titles: Sequence[NDArray[np.int64]], encoder: LexicalEncoder, device: Device, batch_size: int = 512
) -> NDArray[np.float32]:
    """Features (titles, D) of titles' ids; they are computed in seconds, so no file keeps them.

    Titles with the same number of ids are read together. With padding, the last digits of a feature would depend on the
    other titles of its batch.
    """
    device.take(encoder).eval()
    lengths = np.array([len(ids) for ids in titles])
    features = np.empty((len(titles), encoder.width), dtype=np.float32)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            ids = torch.from_numpy(padded([titles[row] for row in chosen]))
            features[chosen] = encoder(ids.to(device.name)).cpu().numpy()
    return features


def _distinct(forms: Sequence[Sequence[str]]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct titles, shortest first, and (V, N) the position of each title among them."""
    titles = sorted({title for form in forms for title in form}, key=lambda title: (len(title), title))
    position = {title: number for number, title in enumerate(titles)}
    return titles, np.array([[position[title] for title in form] for form in forms], dtype=np.int64)


def _distinct_titles(
    preprocessor: ProductPreprocessor, forms: Sequence[Sequence[str]]
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64], NDArray[np.int64]]:
    """Token ids of the distinct titles, shortest first; (V, N) start of each title among them; (V, N) its length."""
    titles, which = _distinct(forms)
    ids = [preprocessor.tokens(title) for title in titles]
    starts = np.concatenate([[0], np.cumsum([len(title) for title in ids])]).astype(np.int64)
    return ids, starts[which], np.diff(starts)[which]


def _key(encoder: nn.Module, dataset: ProductDataset, values: Sequence[str]) -> str:
    settings = dataset.preprocessor.settings
    parts = (
        weights_sha256(encoder),
        f"{settings.image_size} {settings.image_fit} {settings.max_tokens} {dataset.catalog.source.path}",
        *values,
    )
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:16]
