"""``audit.json``: what an audit was of and by what, so that another one does not write over its findings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from client.api.errors import ClientError
from client.audit.run_answers import RunRecord
from client.audit.sheet import FINDINGS, SHEET
from client.scoring.engines import Engine
from client.scoring.run_key import check_key
from training.catalog import CatalogSource, open_files
from training.system.storage import make_folder, read_json, write_json

RECORD = "audit.json"


def model_key(source: CatalogSource, engine: Engine) -> dict[str, Any]:
    """What tells an audit by a model from another one."""
    return {**_catalog_key(source), **engine.identity}


def run_key(records: Sequence[RunRecord]) -> dict[str, Any]:
    """What tells an audit by training runs from another one."""
    return {**_catalog_key(records[0].source), "runs": [f"{each.folder} of {each.created}" for each in records]}


def claim_folder(out: Path, key: Mapping[str, Any], *, replace: bool) -> None:
    """See that a folder holds no other audit; nothing is written.

    Args:
        out: folder of the audit.
        key: of the audit that is to begin.
        replace: remove the findings of another audit instead.

    Raises:
        ClientError: it holds another audit; the message says what differs, and how to go on.
        StorageError: its record cannot be read.
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
            f"{out} holds {' and '.join(there)} of an audit that is not on record. "
            "Choose another folder with --out, or start anew in this one with --replace"
        )


def record_key(out: Path, key: Mapping[str, Any]) -> None:
    """Remember whose folder it is; before the findings are written.

    Raises:
        StorageError: the folder cannot be made or written to.
    """
    make_folder(out)
    write_json(out / RECORD, dict(key))


def _catalog_key(source: CatalogSource) -> dict[str, Any]:
    columns = [source.image_column, source.text_column, source.id_column]
    return {"catalogue": open_files(source.path).fingerprint(), "columns": columns, "labels": source.label_column}
