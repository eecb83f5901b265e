"""Command line of the audit: ``python -m client audit CATALOG --labels COLUMN --out FOLDER``.

Nothing is imported here that another command would wait for.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from client.audit.kinds import MEANING
from client.config import ServerConfig
from client.errors import ClientError
from client.inference import DEFAULT_MODEL
from client.scoring.command import engine_of
from client.store import ModelStore, read_member
from training.catalog_files import CatalogError

if TYPE_CHECKING:
    from client.audit.findings import Answers, Finding
    from client.scoring.engines import Engine

ENGINES = ("server", "local")
SHOWN = 200
# The most that every server lists: the longer an answer is, the more often the given label is on it.
TOP_K = 20


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of ``audit``."""
    command.add_argument("catalog", metavar="CATALOG", help="CSV or Parquet, a folder with one, or a zip with a CSV")
    command.add_argument("--labels", required=True, metavar="COLUMN", help="the labels to be checked")
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the sheet and the scores")
    command.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="who answers: the running server, or the archive's model in this process (default: %(default)s)",
    )
    command.add_argument("--model", default=DEFAULT_MODEL, help="name (default: %(default)s)")
    command.add_argument("--version", help="of the model; the one in charge otherwise")
    command.add_argument("--archive", type=Path, metavar="FILE", help="of the model; default: that of the model store")
    command.add_argument(
        "--show", type=_count, default=SHOWN, metavar="N", help="products on the sheet, at most (default: %(default)s)"
    )
    command.set_defaults(top_k=TOP_K, connections=None)
    columns = command.add_argument_group("columns")
    columns.add_argument("--image-column", default="image", metavar="NAME", help="path of the picture")
    columns.add_argument("--text-column", default="text", metavar="NAME", help="the title")
    columns.add_argument("--id-column", metavar="NAME", help="default: id where there is one, else the line")


def audit(options: argparse.Namespace, config: ServerConfig) -> None:
    """Audit the labels of a catalogue.

    Raises:
        ClientError: it cannot be done; the message says what to mend.
    """
    from client.audit.findings import find, read_answers  # noqa: PLC0415 - what they stand on takes half a second
    from client.audit.labels import read_labels  # noqa: PLC0415
    from client.audit.sheet import FINDINGS, SHEET, write_findings, write_sheet  # noqa: PLC0415
    from client.audit.sides import score_sides  # noqa: PLC0415
    from training.catalog_rows import CatalogSource  # noqa: PLC0415

    source = CatalogSource(
        path=str(options.catalog),
        image_column=options.image_column,
        text_column=options.text_column,
        label_column=options.labels,
        id_column=options.id_column,
    )
    try:
        labels = read_labels(source)
        engine = engine_of(options, config)
        score_sides(source, options.out, engine, top_k=options.top_k, say=_say)
    except CatalogError as error:
        raise ClientError(str(error)) from error
    answers = read_answers(options.out, labels)
    known = _known_labels(options, config, engine, answers)
    found = find(answers, known)
    write_findings(options.out / FINDINGS, found, column=options.labels)
    page = options.out / SHEET
    write_sheet(page, found[: options.show], source=source, labels=known, checked=len(answers.given))
    _say(_summary(answers, found, known))
    _say(f"{page} shows {min(len(found), options.show):,} of them; {options.out / FINDINGS} lists all")


def _known_labels(
    options: argparse.Namespace, config: ServerConfig, engine: "Engine", answers: "Answers"
) -> Sequence[str]:
    """The model's classes, from its archive; of a server elsewhere, those that it named."""
    try:
        archive = (
            options.archive or ModelStore(config.model_store).version(options.model, engine.identity["version"]).path
        )
        return [str(label) for label in read_member(archive, "settings.json")["labels"]]
    except ClientError:
        tops = (top for rows in answers.tops.values() for top in rows if top is not None)
        return sorted({entry.label for top in tops for entry in top})


def _summary(answers: "Answers", found: Sequence["Finding"], known: Sequence[str]) -> str:
    counts = Counter(each.kind for each in found)
    clear = sum(each.clear for each in found)
    strange = Counter(label for label in answers.given.tolist() if label not in set(known))
    lines = [
        f"{len(answers.given):,} labelled products were answered; {len(found):,} should be looked at: "
        + ", ".join(f"{text} {counts[kind]:,}" for kind, text in MEANING.items())
        + f". Clear cases by confident learning: {clear:,}"
    ]
    if strange:
        names = ", ".join(f"{label!r} {count:,}" for label, count in strange.most_common(5))
        lines.append(
            f"{strange.total():,} could not be judged, since the model does not know their label "
            f"({len(strange):,} labels: {names}{', ...' if len(strange) > 5 else ''})"
        )
    return "\n".join(lines)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _say(text: str) -> None:
    print(text, flush=True)
