"""One spelling of a label: accents in one form, no invisible characters, single spaces; and cells that mean "no value".

``Café`` has two forms in Unicode, and web pages put invisible characters into cells. Nobody sees the difference, so it
must not make two classes. Case is visible, so it stays: ``--merge-labels`` merges labels that differ only there.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

# Cells that mean "no value", for every attribute; compared without case.
NO_VALUE = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null"})
# Zero-width spaces, marks of writing direction, soft hyphens. Joiners count only between Latin letters or at an edge:
# other scripts and emoji are written with them.
_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\x00-\x08\x0e-\x1f\x7f]"
    "|(?:(?<=[\x00-\u024f])|^)[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\u024f]|$)"
)


@functools.lru_cache(maxsize=2**16)
def label_value(cell: str) -> str:
    """The label in a cell; "" if the cell means that there is none."""
    visible = _INVISIBLE.sub("", cell)
    value = " ".join((visible if visible.isascii() else unicodedata.normalize("NFC", visible)).split())
    return "" if value.casefold() in NO_VALUE else value


def twins(counts: Mapping[str, int]) -> list[list[str]]:
    """Groups of labels that differ only in case, each with the most frequent label first.

    Args:
        counts: number of products by label.
    """
    groups: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        groups.setdefault(_without_case(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def merged_spellings(groups: Iterable[Sequence[str]]) -> dict[str, str]:
    """For each label that is not the first of its group: the first one."""
    return {label: first for first, *others in groups for label in others}


def _without_case(label: str) -> str:
    # The Turkish İ has the small form "i" with a dot above; and I, ı, i are one letter in different languages.
    folded = unicodedata.normalize("NFKC", label).casefold().replace("i\u0307", "i").replace("ı", "i")
    return unicodedata.normalize("NFC", folded)
