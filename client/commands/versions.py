"""``versions``, ``register``, ``switch``, ``rollback`` and ``retire``: the versions of models at the server."""

import argparse
import dataclasses
import json
from pathlib import Path

from client.commands import text
from client.commands.arguments import Subcommands, count, say, share
from client.commands.session import Session
from client.rollout.sample import MAX_PRODUCTS, MIN_AGREEMENT, Sample, read_sample


def add(commands: Subcommands) -> None:
    """Add the subcommands."""
    command = commands.add_parser("versions", help="list models and versions, with their workers")
    command.add_argument("model", nargs="?", metavar="MODEL", help="all by default")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(command=versions)
    command = commands.add_parser("register", help="register an archive of the model store: a model, or a version more")
    command.add_argument("archive", metavar="ARCHIVE", help="file name in the model store, such as late.mar")
    command.add_argument("--workers", type=count, metavar="N", help="processes (default: those it was made for)")
    command.set_defaults(command=register)
    command = commands.add_parser("switch", help="make another version the default, if it answers as it was verified")
    _add_names(command)
    _add_switch_options(command)
    command.set_defaults(command=switch)
    command = commands.add_parser("rollback", help="go back to the default version before, as safely")
    _add_names(command, version="?")
    command.set_defaults(command=rollback)
    command = commands.add_parser("retire", help="unregister a version that is not the default, once it is idle")
    _add_names(command)
    command.set_defaults(command=retire)


def versions(session: Session) -> None:
    """List the registered versions."""
    models = [session.options.model] if session.options.model else session.management.models()
    found = [version for model in models for version in session.management.versions(model)]
    if session.options.json:
        say(json.dumps([dataclasses.asdict(version) for version in found], indent=2))
    else:
        say(text.versions(found))


def register(session: Session) -> None:
    """Register an archive of the model store."""
    session.rollout.register(session.options.archive, workers=session.options.workers)


def switch(session: Session) -> None:
    """Make another version the default, or say what that would do."""
    options = session.options
    sample = options.sample and Sample(read_sample(options.sample, limit=options.sample_size), options.min_agreement)
    act = session.rollout.plan if options.dry_run else session.rollout.switch
    act(options.model, options.version, sample=sample)


def rollback(session: Session) -> None:
    """Go back to the default version before."""
    session.rollout.rollback(session.options.model, session.options.version)


def retire(session: Session) -> None:
    """Take a version out of the server."""
    session.rollout.retire(session.options.model, session.options.version)


def _add_names(command: argparse.ArgumentParser, *, version: str | None = None) -> None:
    command.add_argument("model", metavar="MODEL")
    command.add_argument("version", metavar="VERSION", nargs=version)


def _add_switch_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    command.add_argument(
        "--sample",
        type=Path,
        metavar="FOLDER_OR_CSV",
        help="real products that both versions answer first: a folder of pictures, or a CSV with columns image, text",
    )
    command.add_argument(
        "--sample-size", type=count, default=MAX_PRODUCTS, metavar="N", help="of them, at most (default: %(default)s)"
    )
    command.add_argument(
        "--min-agreement",
        type=share,
        default=MIN_AGREEMENT,
        metavar="SHARE",
        help="of the sample to be answered alike, 0..1; below it the new version is refused (default: %(default)s)",
    )
