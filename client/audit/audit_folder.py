"""``audit.json`` records an audit's catalogue and model, so that another audit does not overwrite its findings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from client.api.errors import ClientError
from client.audit.run_answers import AuditedRun
from client.audit.sheet import FINDINGS, SHEET
from client.scoring.engines import ScoringEngine
from client.scoring.run_key import check_key
from training.catalog import CatalogSource, open_files
from training.system.storage import make_folder, read_json, write_json

RECORD = "audit.json"


def model_key(source: CatalogSource, engine: ScoringEngine) -> dict[str, Any]:
    """The identity of an audit by a model: catalogue, columns, model."""
    return {**_catalog_key(source), **engine.identity}


def run_key(records: Sequence[AuditedRun]) -> dict[str, Any]:
    """The identity of an audit by training runs: catalogue, columns, runs."""
    return {**_catalog_key(records[0].source), "runs": [f"{each.folder} of {each.created}" for each in records]}


def prepare_audit_folder(out: Path, key: Mapping[str, Any], *, replace: bool) -> None:
    """Check that a folder contains no other audit, or with ``replace`` remove that audit's findings.

    Args:
        out: output folder.
        key: identity of the audit that is about to start.
        replace: remove earlier findings.

    Raises:
        ClientError: the folder contains another audit; the message names the difference and the remedy.
        StorageError: the folder's record cannot be read.
    """
    if replace:
        for name in (RECORD, FINDINGS, SHEET):
            (out / name).unlink(missing_ok=True)
        return
    found = read_json(out / RECORD) if out.is_dir() else None
    there = [name for name in (FINDINGS, SHEET) if (out / name).exists()]
    if found is not None:
        check_key(out, found, key, holds="another audit")
    elif there:
        raise ClientError(
            f"{out} holds {' and '.join(there)} of an unknown audit. "
            "Choose another folder with --out, or start anew in this one with --replace"
        )


def record_key(out: Path, key: Mapping[str, Any]) -> None:
    """Write the audit's identity, before its findings.

    Raises:
        StorageError: the folder cannot be created or written to.
    """
    make_folder(out)
    write_json(out / RECORD, dict(key))


def _catalog_key(source: CatalogSource) -> dict[str, Any]:
    columns = [source.image_column, source.text_column, source.id_column]
    return {"catalogue": open_files(source.path).fingerprint(), "columns": columns, "labels": source.label_column}
