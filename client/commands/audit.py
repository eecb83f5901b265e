"""``audit``: look for wrong labels in a catalogue, by a model's answers or by those that training runs have left.

Nothing is imported here that another command would wait for.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from client.api.errors import ClientError
from client.archives.golden_products import main_labels
from client.archives.model_store import ModelStore
from client.audit.finding_kinds import MEANING
from client.commands.arguments import (
    Subcommands,
    add_catalog,
    add_columns,
    add_model,
    count,
    engine_of,
    say,
    source_of,
)
from client.commands.session import Session
from client.server.config import ServerConfig

if TYPE_CHECKING:
    from client.audit.findings import Answers, Finding
    from client.scoring.engines import Engine
    from training.catalog import CatalogSource

SHOWN = 200
# The most that every server lists: the longer an answer is, the more often the given label is on it.
TOP_K = 20


class _Audited(NamedTuple):
    """A catalogue, the answers to it, and what there is to say of them."""

    source: "CatalogSource"
    answers: "Answers"
    notes: Sequence[str]


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("audit", help="find the labels of a catalogue that may be wrong")
    add_catalog(command, out="of the sheet and the scores", optional=True)
    command.add_argument(
        "--show", type=count, default=SHOWN, metavar="N", help="products on the sheet, at most (default: %(default)s)"
    )
    runs = command.add_argument_group("of products that a model was trained on")
    runs.add_argument(
        "--run",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="run folders: judge the products of their catalogue by the answers of models that had not seen them; "
        "nothing is asked, CATALOG is needed only where the catalogue has moved",
    )
    new = command.add_argument_group("of products that the model has not seen")
    new.add_argument("--labels", metavar="COLUMN", help="the labels to be checked")
    new.add_argument("--archive", type=Path, metavar="FILE", help="of the model; default: that of the model store")
    add_model(command, ["server", "local"])
    add_columns(command)
    command.set_defaults(command=audit, top_k=TOP_K, connections=None)


def audit(session: Session) -> None:
    """Audit the labels of a catalogue."""
    from client.audit.findings import find  # noqa: PLC0415 - what they stand on takes half a second
    from client.audit.sheet import FINDINGS, SHEET, write_findings, write_sheet  # noqa: PLC0415

    options = session.options
    if not options.run and not (options.catalog and options.labels):
        raise ClientError("name a CATALOG and its --labels, or the folder of a training run with --run")
    audited = _trained(options) if options.run else _asked(options, session.config)
    answers, found, page = audited.answers, find(audited.answers), options.out / SHEET
    write_findings(options.out / FINDINGS, found, column=str(audited.source.label_column))
    shown = found[: options.show]
    write_sheet(page, shown, source=audited.source, labels=answers.labels, checked=len(answers.given))
    for note in (*audited.notes, *_summary(answers, found)):
        say(note)
    say(f"{page} shows {len(shown):,} of them; {options.out / FINDINGS} lists all")


def _trained(options: argparse.Namespace) -> _Audited:
    """By the answers that training runs have left."""
    from client.audit.audit_folder import claim_folder, record_key, run_key  # noqa: PLC0415
    from client.audit.run_answers import read_record, read_run_answers  # noqa: PLC0415

    records = [read_record(run, path=options.catalog) for run in options.run]
    column = records[0].source.label_column
    if options.labels not in (None, column):
        raise ClientError(f"{options.run[0]} was trained on {column!r}, not on {options.labels!r}; name its run")
    key = run_key(records)
    claim_folder(options.out, key, replace=options.replace)
    read = read_run_answers(records)
    record_key(options.out, key)
    parts = ", ".join(f"{number:,} {part}" for part, number in read.counts.items())
    notes = [f"answers of models that have not seen the product: {parts}"]
    if unseen := [record for record in records if record.unseen]:
        notes.append(
            f"the {unseen[0].unseen:,} training products of {unseen[0].folder} were answered only by models that know "
            "them; `training train --cross-fit 2` adds answers of others, `--folds 5` tests every product once"
        )
    if read.changed:
        notes.append(
            f"{read.changed:,} products were left out: the run was trained on another label than the catalogue has, "
            "such as a correction"
        )
    return _Audited(records[0].source, read.answers, notes)


def _asked(options: argparse.Namespace, config: ServerConfig) -> _Audited:
    """By the answers of a server, or of an archive in this process."""
    from client.audit.audit_folder import claim_folder, model_key, record_key  # noqa: PLC0415
    from client.audit.catalog_labels import read_labels  # noqa: PLC0415
    from client.audit.modalities import score_modalities  # noqa: PLC0415
    from client.audit.modality_answers import read_answers  # noqa: PLC0415

    source = source_of(options, labels=options.labels)
    given = read_labels(source)
    engine = engine_of(options, config)
    key = model_key(source, engine)
    claim_folder(options.out, key, replace=options.replace)
    score_modalities(source, options.out, engine, top_k=options.top_k, say=say, replace=options.replace)
    answers = read_answers(options.out, given, _known_labels(options, config, engine))
    record_key(options.out, key)
    return _Audited(source, answers, [])


def _known_labels(options: argparse.Namespace, config: ServerConfig, engine: "Engine") -> Sequence[str] | None:
    """The model's classes, from its archive; None of a server elsewhere."""
    try:
        archive = (
            options.archive or ModelStore(config.model_store).version(options.model, engine.identity["version"]).path
        )
        return main_labels(archive)
    except ClientError:
        return None


def _summary(answers: "Answers", found: Sequence["Finding"]) -> list[str]:
    kinds = Counter(each.kind for each in found)
    clear = sum(each.clear for each in found)
    known = set(answers.labels)
    strange = Counter(label for label in answers.given.tolist() if label not in known)
    lines = [
        f"{len(answers.given):,} labelled products were answered; {len(found):,} should be looked at: "
        + ", ".join(f"{text} {kinds[kind]:,}" for kind, text in MEANING.items())
        + f". Clear cases by confident learning: {clear:,}"
    ]
    if strange:
        names = ", ".join(f"{label!r} {number:,}" for label, number in strange.most_common(5))
        lines.append(
            f"{strange.total():,} could not be judged, since the model does not know their label "
            f"({len(strange):,} labels: {names}{', ...' if len(strange) > 5 else ''})"
        )
    return lines
