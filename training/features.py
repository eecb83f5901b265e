"""Encoder outputs, computed once and kept on disk, so that training a head takes seconds.

A file is named by what went in (encoder weights, preprocessing, products), so a stale one is never read. Pictures give
(N, 49, D) float16; titles give the tokens of each distinct title end to end, since most titles are short and many are
shared.

Legend: B batch, N products, T title tokens, D width of an encoder.
"""

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from training.dataset import EpochSampler, LabelledProducts, ProductDataset, product_loader
from training.device import Device
from training.encoders import ImageEncoder, TextEncoder

FeatureBatch = tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Features:
    """What the heads read, for every product of a table.

    Args:
        image: (N, cells, D_image) float16.
        tokens: (sum of T, D_text) float16, the distinct titles end to end.
        starts: (N,) int64, where a product's title begins in ``tokens``.
        lengths: (N,) int64, how many tokens it has.
        present: (N, 2) bool.
        targets: (N,) int64.
    """

    image: NDArray[np.float16]
    tokens: NDArray[np.float16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    present: NDArray[np.bool_]
    targets: NDArray[np.int64]

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> FeatureBatch:
        """Rows -> (image (B, cells, D), text (B, T, D), attention_mask (B, T), present (B, 2)), targets (B,)."""
        lengths = self.lengths[rows]
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        text = self.tokens[np.where(mask, self.starts[rows][:, None] + columns, 0)]
        inputs = (
            torch.from_numpy(self.image[rows].astype(np.float32)),
            torch.from_numpy(text.astype(np.float32)),
            torch.from_numpy(mask.astype(np.int64)),
            torch.from_numpy(self.present[rows]),
        )
        return inputs, torch.from_numpy(self.targets[rows])


class FeatureBatches:
    """Batches of features for one pass, in row order or as a sampler draws them.

    Args:
        features: of all products.
        rows: (M,) which of them.
        batch_size: rows in a batch, at most.
        sampler: draws positions in ``rows``; None keeps the order.
        drop_image: chance that a product's picture is hidden (modality dropout); never both.
        drop_text: likewise for its title.
    """

    def __init__(
        self,
        features: Features,
        rows: NDArray[np.int64],
        *,
        batch_size: int = 256,
        sampler: EpochSampler | None = None,
        drop_image: float = 0.0,
        drop_text: float = 0.0,
    ) -> None:
        self.features = features
        self.rows = rows
        self.batch_size = batch_size
        self.sampler = sampler
        self.drop_image = drop_image
        self.drop_text = drop_text

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[FeatureBatch]:
        if self.sampler is None:
            for start in range(0, len(self.rows), self.batch_size):
                yield self.features.batch(self.rows[start : start + self.batch_size])
            return
        random = np.random.default_rng((self.sampler.seed, self.sampler.epoch, 1))
        for positions in self.sampler:
            (image, text, mask, present), targets = self.features.batch(self.rows[positions])
            yield (image, text, mask, self._hide(present, random)), targets

    def _hide(self, present: Tensor, random: np.random.Generator) -> Tensor:
        chance = torch.from_numpy(random.random((len(present), 1)))
        hidden = torch.cat([chance < self.drop_image, chance >= 1 - self.drop_text], dim=1)
        kept = present & ~hidden
        return torch.where(kept.any(1, keepdim=True), kept, present)


def extract_features(
    folder: Path,
    dataset: ProductDataset,
    *,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
    device: Device,
    batch_size: int = 64,
    processes: int = 0,
) -> Features:
    """Run the encoders over a dataset, or read what an earlier call left in ``folder``.

    An encoder that is None gives one empty cell, or one empty token, for heads that do not read that side.

    Returns:
        Features of the dataset's rows, memory-mapped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = [[bool(image), bool(text)] for image, text in zip(dataset.images, dataset.texts, strict=True)]
    image: NDArray[np.float16] = np.broadcast_to(np.zeros((1, 1, 1), np.float16), (len(dataset), 1, 1))
    if image_encoder is not None:
        path = folder / f"image-{_key(image_encoder, dataset, dataset.images)}.npy"
        loader = product_loader(dataset, batch_size=batch_size, processes=processes)
        image = _stored(path, _image_features(loader, image_encoder, device), rows=len(dataset))
    starts = lengths = np.zeros(len(dataset), np.int64)
    tokens: NDArray[np.float16] = np.zeros((1, 1), np.float16)
    if text_encoder is not None:
        path = folder / f"text-{_key(text_encoder, dataset, dataset.texts)}.npy"
        ids, starts, lengths = _distinct_titles(dataset)
        tokens = _stored(path, _text_features(ids, text_encoder, device, batch_size), rows=sum(map(len, ids)))
    return Features(image, tokens, starts, np.maximum(lengths, 1), np.array(present), dataset.targets)


def weights_sha256(module: nn.Module) -> str:
    """A digest of all parameters and buffers, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _image_features(
    loader: "torch.utils.data.DataLoader[LabelledProducts]", encoder: ImageEncoder, device: Device
) -> Iterator[NDArray[np.float16]]:
    device.take(encoder).eval()
    for (image, *_), _ in tqdm(loader, desc="picture features", unit="batch"):
        with device.autocast():
            cells = encoder(image.to(device.name))
        yield cells.half().cpu().numpy()


@torch.no_grad()
def _text_features(
    ids: Sequence[NDArray[np.int64]], encoder: TextEncoder, device: Device, batch_size: int
) -> Iterator[NDArray[np.float16]]:
    device.take(encoder).eval()
    for start in tqdm(range(0, len(ids), batch_size), desc="title features", unit="batch"):
        titles = ids[start : start + batch_size]
        lengths = np.array([len(title) for title in titles])
        mask = torch.from_numpy((np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)).to(device.name)
        padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(title) for title in titles], batch_first=True)
        with device.autocast():
            tokens = encoder(padded.to(device.name), mask)
        yield tokens[mask.bool()].half().cpu().numpy()


def _distinct_titles(
    dataset: ProductDataset,
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64], NDArray[np.int64]]:
    """Token ids of each distinct title, shortest first; where each row's title starts end to end; its tokens."""
    titles = sorted(set(dataset.texts), key=lambda title: (len(title), title))
    ids = [dataset.preprocessor.tokens(title) for title in titles]
    starts = np.concatenate([[0], np.cumsum([len(title) for title in ids])]).astype(np.int64)
    position = {title: number for number, title in enumerate(titles)}
    which = np.array([position[title] for title in dataset.texts], dtype=np.int64)
    return ids, starts[which], np.diff(starts)[which]


def _stored(path: Path, blocks: Iterator[NDArray[np.float16]], *, rows: int) -> NDArray[np.float16]:
    if not path.exists():
        _write(path, blocks, rows=rows)
    stored: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return stored


def _write(path: Path, blocks: Iterator[NDArray[np.float16]], *, rows: int) -> None:
    """Stream blocks into one .npy, complete or not there; memory stays at one block."""
    partial = path.with_suffix(".partial")
    first = next(blocks)
    array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=(rows, *first.shape[1:]))
    end = 0
    for block in itertools.chain([first], blocks):
        array[end : end + len(block)] = block
        end += len(block)
    array.flush()
    partial.replace(path)


def _key(encoder: nn.Module, dataset: ProductDataset, values: Sequence[str]) -> str:
    settings = dataset.preprocessor.settings
    parts = (
        weights_sha256(encoder),
        f"{settings.image_size} {settings.image_fit} {settings.max_tokens} {dataset.catalog.source.path}",
        *values,
    )
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:16]
