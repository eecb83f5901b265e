"""Groups of products that a fair split keeps together: equal titles, identical files, near-identical pictures.

Pictures are compared by pHash (imagehash library): 64 bits, one for each low frequency, set if it is above the median.
So 32 bits are set, and the Hamming distance of two hashes is even. Pictures at distance 0 are linked. At distance 2
some pictures look identical, but many only have the same outline; they are linked if their thumbnails agree. The hash
of a picture of one colour has another number of bits; it means nothing and links nothing.
"""

import hashlib
import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import imagehash
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.catalog.files import decode_picture
from training.catalog.reading import Catalog
from training.system.threads import map_threads

log = logging.getLogger(__name__)

HASH_BITS = 64
THUMBNAIL_SIDE = 16
THUMBNAIL_DIFFERENCE = 1.5
LARGE_SHARE = 0.1
Integers = NDArray[np.int64]


class Fingerprint(NamedTuple):
    """Identifies a picture: sha256 of the file, pHash, and a thumbnail (16*16*3,) uint8."""

    digest: str
    phash: int
    thumbnail: NDArray[np.uint8]


def product_groups(catalog: Catalog, products: pd.DataFrame, *, progress: bool = True) -> Integers:
    """Group the products that a fair split keeps together.

    Args:
        products: N of its rows.

    Returns:
        (N,) int64, the group of each product, numbered in the order of the rows.

    Raises:
        CatalogError: a picture cannot be read any more.
    """
    rows = np.flatnonzero(products["image"] != "")
    prints = map_threads(
        lambda name: fingerprint(catalog.image_bytes(name), name=name),
        products["image"].iloc[rows].tolist(),
        description="comparing pictures",
        progress=progress,
    )
    pictures = [equal_keys([each.digest for each in prints]), similar_pictures(prints)]
    links = np.concatenate(
        [equal_keys([normalised_title(title) for title in products["text"]]), *(rows[link] for link in pictures)]
    )
    count = len(products)
    graph = coo_array((np.ones(len(links), dtype=bool), (links[:, 0], links[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    groups: Integers = pd.factorize(labels)[0].astype(np.int64)
    _warn_of_a_large_group(groups, products)
    return groups


def normalised_title(title: str) -> str:
    """A title in lower case, without punctuation, with single spaces, in the Unicode form NFKC."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", title).casefold()).strip()


def equal_keys(keys: Sequence[str]) -> Integers:
    """Links (K, 2) from each row to the first row with the same key; rows with an empty key have no link."""
    codes, _ = pd.factorize(np.asarray(keys, dtype=object))
    _, first = np.unique(codes, return_index=True)
    rows = np.flatnonzero([key != "" for key in keys])
    return np.stack([first[codes[rows]], rows], axis=1).astype(np.int64)


def similar_pictures(prints: Sequence[Fingerprint]) -> Integers:
    """Links (K, 2) between pictures with equal pHash, or at distance 2 with nearly equal thumbnails."""
    all_hashes = np.array([each.phash for each in prints], dtype=np.uint64)
    valid = np.flatnonzero(np.bitwise_count(all_hashes) == HASH_BITS // 2)
    distinct, first, codes = np.unique(all_hashes[valid], return_index=True, return_inverse=True)
    first = valid[first]
    same = np.stack([first[codes], valid], axis=1)
    near = first[neighbours(distinct)]
    thumbnails = np.array([each.thumbnail for each in prints], dtype=np.int16).reshape(
        len(prints), THUMBNAIL_SIDE**2 * 3
    )
    apart = np.abs(thumbnails[near[:, 0]] - thumbnails[near[:, 1]]).mean(axis=1)
    return np.concatenate([same, near[apart <= THUMBNAIL_DIFFERENCE]])


def neighbours(hashes: NDArray[np.uint64]) -> Integers:
    """Pairs (K, 2) of positions whose hashes are at distance 2.

    Two hashes with the same number of set bits are at distance 2 if they are equal after one set bit is cleared in
    each. So all hashes with one bit cleared are sorted; at most 33 of them are equal.

    Args:
        hashes: distinct, each with 32 bits set.
    """
    bits = np.uint64(1) << np.arange(HASH_BITS, dtype=np.uint64)
    owner, bit = np.nonzero(hashes[:, None] & bits)
    rests = hashes[owner] & ~bits[bit]
    order = np.argsort(rests, kind="stable")
    owner, rests = owner[order], rests[order]
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for apart in range(1, HASH_BITS // 2 + 1):
        at = np.flatnonzero(rests[:-apart] == rests[apart:])
        pairs.append(np.stack([owner[at], owner[at + apart]], axis=1))
    return np.concatenate(pairs)


def fingerprint(image: bytes, *, name: str) -> Fingerprint:
    """The fingerprint of an encoded picture."""
    picture = decode_picture(image, name=name)
    small = picture.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return Fingerprint(
        digest=hashlib.sha256(image).hexdigest(),
        phash=int(str(imagehash.phash(picture)), 16),
        thumbnail=np.asarray(small).reshape(-1),
    )


def _warn_of_a_large_group(groups: Integers, products: pd.DataFrame) -> None:
    sizes = np.bincount(groups)
    if len(products) and sizes.max() > LARGE_SHARE * len(products):
        members = products[groups == sizes.argmax()]
        log.warning(
            "%s of %s products are one group, joined by shared titles or pictures such as %r and %r: "
            "a grouped split cannot divide them",
            f"{len(members):,}",
            f"{len(products):,}",
            members["text"].mode()[0],
            members["image"].mode()[0],
        )
