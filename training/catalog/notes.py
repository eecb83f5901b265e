"""What was read otherwise than it is written: counted while rows are read, and said once."""

import shlex
from collections import Counter
from collections.abc import Mapping

SEVERAL, FURTHER, INHERITED, ADDRESSES, RESPELLED, SAYS_NONE = (
    *("several", "further", "inherited", "addresses", "respelled", "says_none"),
)
_SENTENCES: Mapping[str, str] = {
    RESPELLED: "{count} names of pictures are not written as the files are, such as {example}; one file fits each",
    SAYS_NONE: "{count} cells say that there is no picture, such as {example}",
    SEVERAL: "{count} products have several pictures, such as {example}; {pictures}",
    FURTHER: "{count} further rows belong to the product above them, such as {example}: the same id, and no title",
    INHERITED: "{count} rows without a title take that of their parent, such as {example}",
    ADDRESSES: "{count} rows have only the web address of a picture and are used by their titles alone, such as "
    "{example}; next: {command}",
}
_PICTURES = {"first": "the first that is there is used", "mean": "the answer is the mean over all of them"}
EXAMPLE_LENGTH = 60


class CatalogNotes:
    """Counts by kind, with the first example of each.

    Args:
        path: of the catalogue, for the commands that a note names.
        image_column: of its pictures.
    """

    def __init__(self, path: str = "CATALOGUE", *, image_column: str = "image") -> None:
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        column = "" if image_column == "image" else f" --image-column {shlex.quote(image_column)}"
        self._command = f"python -m training fetch {shlex.quote(path)} --out FOLDER{column}"

    def add(self, kind: str, example: str) -> None:
        """Count one more row; the first example is kept."""
        self.counts[kind] += 1
        self._examples.setdefault(kind, example)

    def sentences(self, *, pictures: str = "first") -> list[str]:
        """One for each kind that was met.

        Args:
            pictures: ``first`` or ``mean``, what is done with several pictures of a product.
        """
        return [
            sentence.format(
                count=f"{self.counts[kind]:,}",
                example=_cut(self._examples[kind]),
                pictures=_PICTURES[pictures],
                command=self._command,
            )
            for kind, sentence in _SENTENCES.items()
            if self.counts[kind]
        ]


def _cut(example: str) -> str:
    return example if len(example) <= EXAMPLE_LENGTH else f"{example[: EXAMPLE_LENGTH - 1]}…"
