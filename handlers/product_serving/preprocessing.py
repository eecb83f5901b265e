"""Turn picture bytes and titles into the arrays that every graph reads, for training and for serving.

Legend: B batch, H = W picture height and width, T title tokens, G ids of a title's letters.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tokenizers import Tokenizer, normalizers

from .engines.engine import Batch
from .errors import ProductError
from .picture import open_picture
from .settings import ProductSettings
from .titles.markup import plain_text, plain_text_with_places
from .titles.ngrams import PADDING, ngram_ids

# The tokenizer takes 20 ms for a title of 10,000 characters, and nearly all titles end within this many a token.
_CHARS_PER_TOKEN = 16
_WIDE_PASSES = 3
_WORD = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]+")


class Product(NamedTuple):
    """One product as arrays.

    Args:
        image: (3, H, W) uint8, RGB; white without a picture.
        input_ids: (T,) int64, from [CLS] to [SEP].
        attention_mask: (T,) int64 of ones.
        present: (2,) bool: has a picture, has a title.
        ngrams: (G,) int64 ids of the title's letters; empty for a model without the lexical tower.
    """

    image: NDArray[np.uint8]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    present: NDArray[np.bool_]
    ngrams: NDArray[np.int64]


class TitleIds(NamedTuple):
    """A title as ids.

    Args:
        tokens: (T,) int64, from [CLS] to [SEP].
        ngrams: as in :class:`Product`.
    """

    tokens: NDArray[np.int64]
    ngrams: NDArray[np.int64]


class Word(NamedTuple):
    """A word of a title that the model reads.

    Args:
        text: normalised.
        start: position of its first token.
        stop: position after its last token.
        place: its number among the words of the title, from 0.
        begins: index of its first character in the title as it was sent.
        ends: index behind its last character there.
    """

    text: str
    start: int
    stop: int
    place: int
    begins: int
    ends: int


class ProductPreprocessor:
    """Turns pictures into pixels and titles into tokens. Safe to call from several threads.

    Args:
        settings: sizes and limits.
        tokenizer: path of a ``tokenizer.json``.
    """

    def __init__(self, settings: ProductSettings, tokenizer: Path) -> None:
        self.settings = settings
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(settings.max_tokens)
        # The text "[SEP]" in a title must not become the token that ends the title.
        self._tokenizer.encode_special_tokens = True
        self._empty_length = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self._nfkc = normalizers.NFKC()

    def __call__(self, image: bytes | None, text: str | None) -> Product:
        """Preprocess one product. None, or a title without any token, means that the picture or title is missing.

        Raises:
            ProductError: the picture or title is invalid.
        """
        title = self.title_ids("" if text is None else text)
        return self.product(None if image is None else self.pixels(image), title)

    def title_ids(self, text: str) -> TitleIds:
        """A title, which may be empty -> its ids for both towers that read titles.

        Raises:
            ProductError: the title is invalid.
        """
        return TitleIds(self.tokens(text), self.ngrams(text))

    def product(self, pixels: NDArray[np.uint8] | None, title: TitleIds) -> Product:
        """Combine (3, H, W) pixels, or None, with the ids of a title, which may be empty."""
        present = np.array([pixels is not None, len(title.tokens) > self._empty_length])
        picture = self.blank() if pixels is None else pixels
        return Product(picture, title.tokens, np.ones_like(title.tokens), present, title.ngrams)

    def picture(self, image: bytes) -> Image.Image:
        """Encoded bytes -> RGB picture in its own proportions; see :func:`product_serving.picture.open_picture`."""
        return open_picture(image, self.settings)

    def fit(self, picture: Image.Image) -> Image.Image:
        """RGB of any size -> RGB of ``image_size`` x ``image_size``, padded or squashed as ``image_fit`` says."""
        size = (self.settings.image_size, self.settings.image_size)
        if self.settings.image_fit == "squash":
            return picture.resize(size, Image.Resampling.BICUBIC)
        return ImageOps.pad(picture, size, method=Image.Resampling.BICUBIC, color="white")

    def pixels(self, image: bytes) -> NDArray[np.uint8]:
        """Encoded bytes -> (3, H, W) uint8."""
        return np.ascontiguousarray(np.asarray(self.fit(self.picture(image))).transpose(2, 0, 1))

    def title(self, text: str) -> str:
        """Take HTML out of a title, normalise it to NFKC, and make control characters and white space single spaces.

        Raises:
            ProductError: ``text_too_long``, or ``invalid_text`` for lone surrogates.
        """
        if len(text) > self.settings.max_text_chars:
            raise ProductError("text_too_long", f"text: longer than {self.settings.max_text_chars} characters")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ProductError("invalid_text", "text: holds lone surrogates; send valid Unicode") from error
        title = self._tidy(plain_text(text))
        for _ in range(_WIDE_PASSES):  # NFKC makes "<" of its wide form, so another pass may find HTML
            if title == (again := self._tidy(plain_text(title))):
                break
            title = again
        return title

    def _tidy(self, text: str) -> str:
        spaced = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
        # Python's NFKC takes quadratic time on long runs of combining marks; the tokenizer library's does not.
        return " ".join(self._nfkc.normalize_str(spaced).split())

    def tokens(self, text: str) -> NDArray[np.int64]:
        """A title -> (T,) int64 token ids with [CLS] and [SEP]; T is at most ``max_tokens``."""
        return np.array(self._encode(text)[1].ids, dtype=np.int64)

    def ngrams(self, text: str) -> NDArray[np.int64]:
        """A title -> (G,) ids of its letters; none for a model without the lexical tower."""
        return ngram_ids(self.title(text)) if self.settings.lexical else np.empty(0, dtype=np.int64)

    def words(self, text: str) -> list[Word]:
        """The words of a title, split at white space, that have at least one token in :meth:`tokens`; in order."""
        title, encoding = self._encode(text)
        written, places = title.split(" "), self._places(text)
        words: dict[int, Word] = {}
        for position, ((begin, _), special) in enumerate(
            zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        ):
            if not special:
                number = title.count(" ", 0, begin)
                start = words[number].start if number in words else position
                words[number] = Word(written[number], start, position + 1, number, *places[number])
        return list(words.values())

    def _places(self, text: str) -> list[tuple[int, int]]:
        """Where each word of the title begins and ends in the text as it was sent."""
        plain = plain_text_with_places(text)
        found = [(match, self._tidy(match[0]).split()) for match in _WORD.finditer(plain.text)]
        places = [(plain.starts[word.start()], plain.stops[word.end() - 1]) for word, tidy in found for _ in tidy]
        title = self.title(text)
        if " ".join(piece for _, tidy in found for piece in tidy) != title:  # HTML in wide characters
            return [(0, len(text))] * len(title.split())
        return places

    def blank(self) -> NDArray[np.uint8]:
        """The white picture that replaces a missing one: (3, H, W) uint8."""
        return np.full((3, self.settings.image_size, self.settings.image_size), 255, dtype=np.uint8)

    def _encode(self, text: str) -> tuple[str, Any]:
        """Return the part of the title that yields its tokens, and the tokenizer's encoding of it.

        The part is as long as needed: any number of characters can be dropped by the tokenizer or become one token.
        """
        title, length = self.title(text), _CHARS_PER_TOKEN * self.settings.max_tokens
        while True:
            encoding = self._tokenizer.encode(title[:length])
            if length >= len(title) or _has_whole_words(encoding):
                return title[:length], encoding
            length *= 2


def _has_whole_words(encoding: Any) -> bool:
    """True if the last token that was kept belongs to a word before the last one, so that no cut touches it."""
    kept, dropped = (
        [word for word in part.word_ids if word is not None]
        for part in (encoding, encoding.overflowing[-1] if encoding.overflowing else encoding)
    )
    return bool(kept) and kept[-1] != dropped[-1]


def collate(products: Sequence[Product]) -> Batch:
    """Stack products into a batch; T and G are those of the longest title.

    Raises:
        ValueError: there are no products.
    """
    if not products:
        raise ValueError("a batch needs at least one product")
    return Batch(
        np.stack([product.image for product in products]),
        padded([product.input_ids for product in products]),
        padded([product.attention_mask for product in products]),
        np.stack([product.present for product in products]),
        padded([product.ngrams for product in products], filler=PADDING),
    )


def padded(rows: Sequence[NDArray[np.int64]], *, filler: int = 0) -> NDArray[np.int64]:
    """Rows of different lengths -> one array (B, longest), at least one column wide."""
    array = np.full((len(rows), max(1, *map(len, rows))), filler, dtype=np.int64)
    for place, row in enumerate(rows):
        array[place, : len(row)] = row
    return array
