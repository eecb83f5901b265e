"""``versions``, ``register``, ``switch``, ``rollback`` and ``retire``: model versions on the server."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from client.commands.answer_text import versions_table
from client.commands.arguments import Subcommands, count, echo, share
from client.commands.session import Session
from client.rollout.sample import MAX_PRODUCTS, MIN_AGREEMENT, Sample, read_sample
from training.system.storage import warn


def add(commands: Subcommands) -> None:
    """Add the subcommands."""
    command = commands.add_parser("versions", help="list the registered models and versions with their workers")
    command.add_argument("model", nargs="?", metavar="MODEL", help="one model (default: all)")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(command=versions)
    command = commands.add_parser("register", help="register an archive: a new model, or another version")
    command.add_argument("archive", metavar="ARCHIVE", help="file name in the model store, such as late.mar")
    command.add_argument("--workers", type=count, metavar="N", help="worker processes (default: as the archive asks)")
    command.set_defaults(command=register)
    command = commands.add_parser("switch", help="make another version the default, if it answers as expected")
    _add_names(command)
    command.add_argument("--dry-run", action="store_true", help="print the steps and change nothing")
    command.add_argument(
        "--sample",
        type=Path,
        metavar="FOLDER_OR_CSV",
        help="compare both versions on these products first: a folder of pictures, or a CSV with columns image, text",
    )
    command.add_argument(
        "--sample-size",
        type=count,
        default=MAX_PRODUCTS,
        metavar="N",
        help="most products to use (default: %(default)s)",
    )
    command.add_argument(
        "--min-agreement",
        type=share,
        default=MIN_AGREEMENT,
        metavar="SHARE",
        help="share of equal answers, 0..1, below which the new version is refused (default: %(default)s)",
    )
    command.add_argument(
        "--allow-classes",
        action="store_true",
        help="switch also to a version whose classes are not those of the old one",
    )
    command.set_defaults(command=switch)
    command = commands.add_parser("rollback", help="make the previous default version the default again")
    _add_names(command, version="?")
    command.set_defaults(command=rollback)
    command = commands.add_parser("retire", help="unregister an idle version that is not the default")
    _add_names(command)
    command.set_defaults(command=retire)


def versions(session: Session) -> None:
    """List the registered versions, and say what a start of the server would load."""
    models = [session.options.model] if session.options.model else session.management.models()
    found = [version for model in models for version in session.management.versions(model)]
    loaded = session.store.loaded_at_start(session.config.load_models)
    if session.options.json:
        at_start = [{"at_start": loaded.get(version.model) == version.version} for version in found]
        listed = [dataclasses.asdict(version) | start for version, start in zip(found, at_start, strict=True)]
        echo(json.dumps(listed, indent=2))
    else:
        echo(versions_table(found))
        shown = ", ".join(f"{model} {version}" for model, version in loaded.items()) or "no model"
        print(f"A start of the server would load: {shown}", file=sys.stderr)
    _compare_with_start(session, {version.model: version.version for version in found if version.default})


def _compare_with_start(session: Session, served: Mapping[str, str]) -> None:
    """Warn where a start would load another version than the default one, so that nobody goes back without knowing."""
    loaded = session.store.loaded_at_start(session.config.load_models)
    for model, version in served.items():
        if loaded.get(model, version) == version:
            continue
        mend = f"`python -m client switch {model} {version}` changes that"
        if session.store.default_version(model) == version:
            mend = f"let load_models in {session.config.path.name} name {model}.mar"
        warn(f"a start of the server would load {model} {loaded[model]}, not {version}; {mend}")


def register(session: Session) -> None:
    """Register an archive of the model store."""
    session.rollout.register(session.options.archive, workers=session.options.workers)


def switch(session: Session) -> None:
    """Make another version the default, or print the steps of that (``--dry-run``)."""
    options = session.options
    sample = options.sample and Sample(read_sample(options.sample, limit=options.sample_size), options.min_agreement)
    act = session.rollout.plan if options.dry_run else session.rollout.switch
    act(options.model, options.version, sample=sample, allow_classes=options.allow_classes)
    if not options.dry_run:
        _compare_with_start(session, {options.model: options.version})


def rollback(session: Session) -> None:
    """Make the previous default version the default again."""
    version = session.rollout.rollback(session.options.model, session.options.version)
    _compare_with_start(session, {session.options.model: version})


def retire(session: Session) -> None:
    """Unregister a version."""
    session.rollout.retire(session.options.model, session.options.version)


def _add_names(command: argparse.ArgumentParser, *, version: str | None = None) -> None:
    command.add_argument("model", metavar="MODEL")
    command.add_argument("version", metavar="VERSION", nargs=version)
