"""``audit``: find wrong labels in a catalogue by the answers of a served model or of training runs, and correct them.

Slow modules are imported only in the functions that need them.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
    echo,
    engine_of,
    source_of,
)
from client.commands.session import Session
from client.server.config import ServerConfig
from training.system.storage import make_folder, write_json

if TYPE_CHECKING:
    from client.audit.findings import AuditAnswers, Finding
    from client.scoring.engines import ScoringEngine
    from training.catalog import CatalogSource

SHEET_PRODUCTS = 200
# The most classes that a server lists: a longer answer contains the given label more often.
TOP_K = 20


class _Audited(NamedTuple):
    """A catalogue, the answers to its products, notes for the user, and the identity of the audit."""

    source: "CatalogSource"
    answers: "AuditAnswers"
    notes: Sequence[str]
    key: dict[str, Any]


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser("audit", help="find labels of a catalogue that may be wrong")
    add_catalog(command, out="output folder for the sheet and the scores; with --apply the new table", optional=True)
    command.add_argument(
        "--show",
        type=count,
        default=SHEET_PRODUCTS,
        metavar="N",
        help="most products on the sheet (default: %(default)s)",
    )
    command.add_argument(
        "--apply",
        type=Path,
        metavar="CORRECTIONS",
        help="write the catalogue's table again with these corrected labels, in its own format, as --out",
    )
    runs = command.add_argument_group("products that the model was trained on")
    runs.add_argument(
        "--run",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="run folders whose catalogue is checked with the saved answers of models that had not seen the product; "
        "no server is needed, and CATALOG only if the catalogue has moved",
    )
    new = command.add_argument_group("products that the model has not seen")
    new.add_argument("--labels", metavar="COLUMN", help="column of the labels to check")
    new.add_argument(
        "--archive", type=Path, metavar="FILE", help="archive of the model (default: from the model store)"
    )
    add_model(command, ["server", "local"])
    add_columns(command)
    command.set_defaults(command=audit, top_k=TOP_K, connections=None)


def audit(session: Session) -> None:
    """Audit the labels of a catalogue."""
    from client.audit.audit_folder import RECORD  # noqa: PLC0415
    from client.audit.findings import find_label_errors  # noqa: PLC0415 - takes half a second
    from client.audit.sheet import FINDINGS, SHEET, write_findings, write_sheet  # noqa: PLC0415

    options = session.options
    if options.apply is not None:
        _apply(options)
        return
    if not options.run and not (options.catalog and options.labels):
        raise ClientError("name a CATALOG and its --labels, or a training run with --run")
    audited = _trained(options) if options.run else _asked(options, session.config)
    _refuse_unchecked(audited.answers)
    make_folder(options.out)
    write_json(options.out / RECORD, audited.key)
    answers, found, page = audited.answers, find_label_errors(audited.answers), options.out / SHEET
    write_findings(options.out / FINDINGS, found, column=str(audited.source.label_column))
    shown = found[: options.show]
    write_sheet(page, shown, source=audited.source, labels=answers.labels, checked=len(answers.given))
    for note in (*audited.notes, *_summary(answers, found)):
        echo(note)
    echo(f"{page} shows {len(shown):,} of them; {options.out / FINDINGS} lists all")


def _apply(options: argparse.Namespace) -> None:
    """Write the corrected table."""
    from client.audit.run_answers import read_record  # noqa: PLC0415
    from training.catalog import write_corrected  # noqa: PLC0415

    if len(options.run) > 1 or not (options.run or options.catalog):
        raise ClientError("--apply corrects one catalogue: name it, or the run that was trained on it with --run")
    source = (
        read_record(options.run[0], path=options.catalog).source
        if options.run
        else source_of(options, labels=options.labels)
    )
    written = write_corrected(
        source, options.apply, options.out, replace=options.replace, say=lambda note: echo(f"note: {note}")
    )
    echo(f"{written.summary()}; {written.path} is {source.path} otherwise")
    if source.image_column and written.path.parent.resolve() != Path(source.path).parent.resolve():
        echo(f"note: paths of pictures are relative to the table, so {written.path.name} belongs beside the old one")


def _trained(options: argparse.Namespace) -> _Audited:
    """Answers that training runs have saved."""
    from client.audit.audit_folder import audit_key, prepare_audit_folder  # noqa: PLC0415
    from client.audit.run_answers import read_record, read_run_answers  # noqa: PLC0415

    records = [read_record(run, path=options.catalog) for run in options.run]
    column = records[0].source.label_column
    if options.labels not in (None, column):
        raise ClientError(
            f"{options.run[0]} was trained on {column!r}; name a run that was trained on {options.labels!r}"
        )
    key = audit_key(records[0].source, runs=[f"{each.folder} of {each.created}" for each in records])
    prepare_audit_folder(options.out, key, replace=options.replace)
    read = read_run_answers(records)
    parts = ", ".join(f"{number:,} {part}" for part, number in read.counts.items())
    notes = [f"answers by models that had not seen the product: {parts}"]
    if unseen := [record for record in records if record.unseen]:
        notes.append(
            f"{unseen[0].unseen:,} training products of {unseen[0].folder} were left out: every model had seen them. "
            "`training train --cross-fit 2` adds answers by models that had not; `--folds 5` tests every product once"
        )
    if read.changed:
        notes.append(
            f"{read.changed:,} products were left out: their label in the catalogue differs from the one in the run, "
            "for example after a correction"
        )
    return _Audited(records[0].source, read.answers, notes, key)


def _asked(options: argparse.Namespace, config: ServerConfig) -> _Audited:
    """Answers of a server, or of an archive in this process."""
    from client.audit.audit_folder import audit_key, prepare_audit_folder  # noqa: PLC0415
    from client.audit.catalog_labels import read_labels  # noqa: PLC0415
    from client.audit.modalities import TOGETHER, score_modalities  # noqa: PLC0415
    from client.audit.modality_answers import read_answers  # noqa: PLC0415
    from client.scoring.outputs import refuse_unanswered  # noqa: PLC0415

    source = source_of(options, labels=options.labels)
    notes: list[str] = []
    given = read_labels(source, log=notes.append)
    engine = engine_of(options, config)
    key = audit_key(source, **engine.identity)
    prepare_audit_folder(options.out, key, replace=options.replace)
    for note in notes:
        echo(note)
    summaries = score_modalities(source, options.out, engine, top_k=options.top_k, log=echo, replace=options.replace)
    refuse_unanswered(options.out / "scores" / TOGETHER, summaries[TOGETHER])
    answers = read_answers(options.out, given, _known_labels(options, config, engine))
    return _Audited(source, answers, [], key)


def _known_labels(options: argparse.Namespace, config: ServerConfig, engine: "ScoringEngine") -> Sequence[str] | None:
    """The model's classes from its archive; None if the archive is on another machine."""
    try:
        archive = (
            options.archive or ModelStore(config.model_store).version(options.model, engine.identity["version"]).path
        )
        return main_labels(archive)
    except ClientError:
        return None


def _refuse_unchecked(answers: "AuditAnswers") -> None:
    """Refuse an audit that could check no label: it would say that none should be looked at.

    Raises:
        ClientError: no labelled product was answered, or the model knows none of the labels.
    """
    given = Counter(answers.given.tolist())
    if not given:
        raise ClientError("none of the labelled products was answered, so no label could be checked")
    if not set(given) & set(answers.labels):
        known = ", ".join(map(repr, answers.labels[:5]))
        raise ClientError(
            f"no label could be checked: the model knows none of {', '.join(map(repr, [*given][:5]))}; it knows {known}"
            f"{', ...' if len(answers.labels) > 5 else ''}. Name the column of these with --labels"
        )


def _summary(answers: "AuditAnswers", found: Sequence["Finding"]) -> list[str]:
    kinds = Counter(each.kind for each in found)
    clear = sum(each.clear for each in found)
    known = set(answers.labels)
    strange = Counter(label for label in answers.given.tolist() if label not in known)
    lines = [
        f"{len(answers.given):,} labelled products were answered; {len(found):,} should be checked: "
        + ", ".join(f"{text} {kinds[kind]:,}" for kind, text in MEANING.items())
        + f". Clear cases by confident learning: {clear:,}"
    ]
    if strange:
        names = ", ".join(f"{label!r} {number:,}" for label, number in strange.most_common(5))
        lines.append(
            f"{strange.total():,} could not be checked, since the model does not know their label "
            f"({len(strange):,} labels: {names}{', ...' if len(strange) > 5 else ''})"
        )
    return lines
