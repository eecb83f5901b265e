"""Compares the classes of two versions: a caller that reads labels by their names may not know other ones."""

from collections.abc import Mapping, Sequence

from client.archives.golden_products import attribute_labels
from client.archives.model_store import Archive

Labels = Mapping[str, Sequence[str]]
_NAMED = 10


def archive_class_changes(old: Archive, new: Archive) -> list[str]:
    """How the classes of an archive differ from those of another version; see :func:`class_changes`.

    Raises:
        ClientError: an archive is broken, or of an earlier version.
    """
    return class_changes(attribute_labels(old.path), attribute_labels(new.path))


def class_changes(old: Labels, new: Labels) -> list[str]:
    """A sentence for each difference; the order of the classes does not matter.

    Args:
        old: labels by attribute, the main one first.
        new: likewise.
    """
    found = []
    if next(iter(old)) != next(iter(new)):
        found.append(f"label is {next(iter(new))} now, it was {next(iter(old))}")
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            found.append(f"the attribute {name} goes")
        elif name not in old:
            found.append(f"the attribute {name} comes ({len(new[name]):,} classes)")
        else:
            come, go = _without(new[name], old[name]), _without(old[name], new[name])
            of = f" of {name}" if len({*old, *new}) > 1 else ""
            found += [
                f"classes{of} that {verb}: {_named(labels)}" for verb, labels in (("come", come), ("go", go)) if labels
            ]
    return found


def _without(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    known = set(others)
    return [label for label in labels if label not in known]


def _named(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more
