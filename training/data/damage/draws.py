"""Random draws that depend on a product and a purpose only."""

import hashlib

import numpy as np


def product_random(seed: int, product: str, purpose: str) -> np.random.Generator:
    """A generator that depends only on the seed, the product's id and the purpose, not on the order of products."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{product}".encode(errors="surrogatepass")).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def share_of(count: int, share: float, random: np.random.Generator) -> int:
    """A share of a number of things, rounded up or down at random so that the mean is exact."""
    return int(share * count + random.random())
