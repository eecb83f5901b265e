"""The lexical tower's view of a title: hashed ids of its words, word pairs and character n-grams.

A misspelled word keeps most of its n-grams, so the tower still recognises it (Bojanowski et al. 2017, "Enriching Word
Vectors with Subword Information", doi:10.1162/tacl_a_00051). The hash depends on the text alone. Training, both graphs
and explanations therefore read the same ids on every machine.

Legend: G ids of a title, L characters.
"""

import itertools
import re
import unicodedata
import zlib

import numpy as np
from numpy.typing import NDArray

BUCKETS = 2**17
PADDING = 0  # the id that fills a batch; no n-gram has it
LENGTHS = (2, 3, 4, 5)  # characters of an n-gram, marks of the word's edges included
MAX_CHARACTERS = 150  # of a title; BERT's 32 tokens end about there
MAX_NGRAMS = 4 * (MAX_CHARACTERS + 1)  # a word of w letters with its space has at most 4 * (w + 1) ids
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads near numbers (Knuth, TAOCP 3, 6.4)
_HIGH_BITS = np.uint64(40)
# Letters of other scripts that look like a Latin one, after case folding (Unicode Technical Standard 39, confusables).
_LOOKALIKES = str.maketrans("авеһіјкмноԛрсѕтуѵхԝαβεικνορτυχ", "abehijkmhoqpcstyvxwabeiknoptux")
_LATIN, _OTHER = re.compile(r"[a-z]"), re.compile("[\u0370-\u03ff\u0400-\u052f]")
_SPACED_LETTERS = re.compile(r"(?<!\S)\w(?: \w){3,}(?!\S)")
_EDGE = 32  # a space is the mark of a word's edge


def ngram_ids(title: str) -> NDArray[np.int64]:
    """A normalised title -> (G,) ids from 1 to ``BUCKETS - 1``; G is at most ``MAX_NGRAMS``, 0 for an empty title.

    Args:
        title: as :meth:`product_serving.preprocessing.ProductPreprocessor.title` returns it.
    """
    words = folded(title)[:MAX_CHARACTERS].split()
    if not words:
        return np.empty(0, dtype=np.int64)
    pairs = [f"{first} {second}" for first, second in itertools.pairwise(words)]
    hashes = np.array([zlib.crc32(text.encode()) for text in (*words, *pairs)], dtype=np.uint64)
    mixed = np.concatenate([hashes, *_character_ngrams(words)]) * _MULTIPLIER >> _HIGH_BITS
    return (mixed % np.uint64(BUCKETS - 1)).astype(np.int64) + 1


def folded(title: str) -> str:
    """A title in the form in which its letters are compared: no case, no accents of Latin, Greek and Cyrillic letters.

    The Turkish letters İ, I, ı and i become one letter. Marks of other scripts stay: they make other letters. A word
    that mixes Latin with Greek or Cyrillic letters is read as it looks. Four and more letters with blanks between them
    are one word.
    """
    decomposed = unicodedata.normalize("NFD", title.casefold().replace("ı", "i"))
    plain = "".join(character for character in decomposed if not "\u0300" <= character <= "\u036f")
    composed = unicodedata.normalize("NFC", plain)
    if _OTHER.search(composed) and _LATIN.search(composed):
        composed = " ".join(_as_it_looks(word) for word in composed.split())
    return _SPACED_LETTERS.sub(lambda letters: letters[0].replace(" ", ""), composed)


def _as_it_looks(word: str) -> str:
    return word.translate(_LOOKALIKES) if _LATIN.search(word) and _OTHER.search(word) else word


def _character_ngrams(words: list[str]) -> list[NDArray[np.uint64]]:
    """Hashes of the n-grams within each word, for each of ``LENGTHS``."""
    codes = np.frombuffer(f" {' '.join(words)} ".encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    edges = np.cumsum(codes == _EDGE)
    found, hashes = [], codes
    for length in range(2, max(LENGTHS) + 1):
        hashes = hashes[:-1] * _MULTIPLIER + codes[length - 1 :]
        count = len(hashes)
        if count <= 0:
            break
        within = edges[length - 2 :][:count] == edges[:count]  # no edge between the first and the last character
        found.append(hashes[within] + np.uint64(length))
    return found
