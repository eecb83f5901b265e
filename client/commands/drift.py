"""``drift``: compare the answers of a model with those to its validation part.

Slow modules are imported only in the functions that need them.
"""

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from client.api.inference import DEFAULT_MODEL
from client.commands.arguments import Subcommands, count, echo
from client.commands.session import Session

if TYPE_CHECKING:
    from client.drift.counts import AnswerCounts
    from client.drift.judgement import Judged

MOVED, NOT_JUDGED = 1, 2
LEAST = 500
_DAY = "1d"


def add(commands: Subcommands) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "drift",
        help="compare answers with those to the validation part: what moved, by how much, and what to do next",
        epilog="Exit status: 0 steady, 1 moved, 2 not judged (an error, or too few products), 3 no server answers.",
    )
    command.add_argument(
        "scores",
        nargs="?",
        type=Path,
        metavar="SCORES",
        help="output folder of `client score` (default: the counters of the running server)",
    )
    command.add_argument(
        "--reference",
        type=Path,
        required=True,
        metavar="RUN",
        help="run folder, or archive (.mar), of the model that answers",
    )
    command.add_argument("--model", default=DEFAULT_MODEL, help="name of the model (default: %(default)s)")
    command.add_argument(
        "--version", help="version whose answers are counted (default: the archive's, or the only one with answers)"
    )
    command.add_argument(
        "--least", type=count, default=LEAST, metavar="N", help="judge no fewer products (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    counters = command.add_argument_group("counters, instead of SCORES")
    counters.add_argument(
        "--metrics", metavar="PLACE", help="metrics address, or a file with its text (default: the server's address)"
    )
    counters.add_argument(
        "--since", metavar="FILE", help="an earlier text of the metrics address (default: since the server's start)"
    )
    counters.add_argument(
        "--prometheus", metavar="ADDRESS", help="a Prometheus that reads it, such as http://127.0.0.1:9090"
    )
    counters.add_argument(
        "--window", type=_window, metavar="TIME", help=f"with --prometheus: how far back to count (default: {_DAY})"
    )
    counters.add_argument(
        "--until", metavar="TIME", help="with --prometheus: 2026-12-01T12:00:00Z, or seconds since 1970 (default: now)"
    )
    command.set_defaults(command=drift, refused=NOT_JUDGED, fault=command.error)


def drift(session: Session) -> int:
    """Compare, print, and return the exit status."""
    from client.drift.advice import sentence  # noqa: PLC0415
    from client.drift.judgement import judge  # noqa: PLC0415
    from client.drift.reference import read_reference  # noqa: PLC0415 - NumPy

    _check(session.options)
    reference, version = read_reference(session.options.reference, model=session.options.model)
    now = _now(session, reference, version)
    judged = judge(reference, now, least=session.options.least)
    moved = [each.name for each in judged if each.moved]
    if session.options.json:
        echo(json.dumps(_document(reference, now, judged) | {"moved": moved, "sentence": sentence(judged)}, indent=2))
        return MOVED if moved else 0
    echo(f"reference: {reference.products:,.0f} validation products of {reference.source}")
    echo(f"now: {now.products:,.0f} products of {now.source}")
    for note in now.notes:
        echo(f"note: {note}")
    for each in judged:
        echo(each.text())
    echo(sentence(judged))
    return MOVED if moved else 0


def _check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other, with the status of wrong arguments."""
    named = [
        name
        for name, value in (
            ("SCORES", options.scores),
            ("--metrics", options.metrics),
            ("--prometheus", options.prometheus),
        )
        if value is not None
    ]
    if len(named) > 1:
        options.fault(f"{' and '.join(named)} contradict each other: name one")
    if options.since is not None and (options.scores or options.prometheus):
        options.fault("--since goes with the counters of a server (--metrics)")
    if (options.window or options.until) and not options.prometheus:
        options.fault("--window and --until go with --prometheus")


def _now(session: Session, reference: "AnswerCounts", version: str | None) -> "AnswerCounts":
    options = session.options
    if options.scores is not None:
        from client.drift.scored import scored_counts  # noqa: PLC0415

        return scored_counts(options.scores)
    from client.drift.counters import counted_version, counter_counts  # noqa: PLC0415
    from client.drift.metrics_text import read_metrics, since  # noqa: PLC0415
    from client.drift.prometheus import read_growth  # noqa: PLC0415

    if options.prometheus:
        place = options.prometheus
        series = read_growth(place, model=options.model, window=options.window or _DAY, until=options.until)
    else:
        place = options.metrics or session.config.metrics_url
        series = read_metrics(place)
        if options.since:
            series = since(series, read_metrics(options.since), place=options.since)
    found = counted_version(series, model=options.model, version=options.version or version, place=place)
    return counter_counts(series, model=options.model, version=found, known=reference.labels, place=place)


def _document(reference: "AnswerCounts", now: "AnswerCounts", judged: "list[Judged]") -> dict[str, object]:
    return {
        "reference": {"source": reference.source, "products": reference.products},
        "now": {"source": now.source, "products": round(now.products), "notes": list(now.notes)},
        "figures": {
            each.name: {
                "moved": each.moved,
                **({} if each.psi is None else {"psi": each.psi, "psi_by_chance": each.chance}),
                "p_value": each.p_value,
                "changes": {value: {"before": old, "now": new} for value, (old, new) in each.changes.items()},
            }
            for each in judged
        },
    }


def _window(text: str) -> str:
    if not re.fullmatch(r"(\d+(ms|[smhdwy]))+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time, such as 1d, 12h or 1h30m")
    return text
