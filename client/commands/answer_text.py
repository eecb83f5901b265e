"""Formats predictions and lists of versions for a terminal."""

import shutil
from collections.abc import Sequence

from client.api.management import ModelVersion
from client.api.predictions import Prediction

_FULL, _PARTS = "█", "▏▎▍▌▋▊▉"
_BAR_WIDTH = 30


def prediction_text(answer: Prediction) -> str:
    """The answer in lines: label and score, a bar for each class, attributes, and the model that answered."""
    width = max(len(entry.label) for entry in answer.top)
    lines = [f"{answer.label}  {answer.score:.1%}" + _review(answer)]
    lines += [f"  {entry.label:<{width}}  {entry.score:>6.1%}  {_bar(entry.score)}" for entry in answer.top]
    if len(answer.set) > 1:
        within = f" (all {', '.join(answer.set_within.values())})" if answer.set_within else ""
        lines.append(f"  one of these {len(answer.set)}: {', '.join(answer.set)}{within}")
    lines += _attributes(answer)
    model = answer.model
    unread = f", {' and '.join(answer.not_read)} not needed" if answer.not_read else ""
    lines.append(
        f"  read {' and '.join(answer.modalities)}{unread}; answered by {model.get('name')} {model.get('version')} "
        f"on {model.get('backend')}"
    )
    return "\n".join(lines)


def _review(answer: Prediction) -> str:
    reasons = [reason.replace("_", " ") for reason in answer.review]
    return f"  needs review ({', '.join(reasons)})" if reasons else "  needs review" * answer.needs_review


def _attributes(answer: Prediction) -> list[str]:
    names = max(map(len, answer.attributes), default=0)
    labels = max((len(entry.label) for entry in answer.attributes.values()), default=0)
    return [
        f"  {name:<{names}}  {entry.label:<{labels}}  {entry.score:>6.1%}"
        + ("  needs review" if entry.needs_review else "")
        for name, entry in answer.attributes.items()
    ]


def versions_table(entries: Sequence[ModelVersion]) -> str:
    """A table of versions that marks the default."""
    if not entries:
        return "no model is registered"
    rows = [
        (
            entry.model,
            entry.version,
            "default" if entry.default else "",
            f"{entry.workers.count('READY')} of {entry.min_workers} READY",
            f"{entry.pending} waiting",
            entry.archive,
        )
        for entry in entries
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _bar(share: float) -> str:
    width = min(_BAR_WIDTH, max(10, shutil.get_terminal_size().columns - 50))
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, part = divmod(eighths, 8)
    return _FULL * full + (_PARTS[part - 1] if part else "")
