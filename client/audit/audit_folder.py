"""``audit.json`` records an audit's catalogue and model, so that another audit does not overwrite its findings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.api.errors import ClientError
from client.audit.sheet import FINDINGS, SHEET
from client.scoring.run_key import check_key
from training.catalog import CatalogSource, open_files
from training.system.storage import read_json

RECORD = "audit.json"


def audit_key(source: CatalogSource, **answered_by: Any) -> dict[str, Any]:
    """The identity of an audit: its catalogue and columns, and the model or the training runs that answered."""
    fingerprint = open_files(source.path).fingerprint()
    catalogue = {"catalogue": fingerprint, "columns": source.columns, "labels": source.label_column}
    return {**catalogue, **answered_by}


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
