"""Protects the output folder of a run: it must contain no unknown files, and only one run may use it at a time."""

from pathlib import Path

from client.api.errors import ClientError
from client.scoring.outputs import FILES, SUMMARY, WORKBOOKS
from client.scoring.workspace import MANIFEST, PARTS, remove_workspace, unknown_files
from training.system.storage import final_name, make_folder, read_json

LOCK = ".lock"
_NAMES = {LOCK, PARTS, SUMMARY, *FILES, *WORKBOOKS}
_DOCUMENTS = {
    SUMMARY: {"key", "read", "predicted", "review", "errors", "reasons"},
    f"{PARTS}/{MANIFEST}": {"key", "read"},
}
_NAMED = 5


def prepare_output_folder(out: Path) -> None:
    """Create the output folder of a run; refuse one with unknown files, since a run deletes and overwrites files.

    Args:
        out: output folder: new, empty, or from an earlier run.

    Raises:
        ClientError: the folder contains files that no run has written, or cannot be read.
        StorageError: the folder cannot be created.
    """
    make_folder(out)
    try:
        strange = _strange(out)
    except OSError as error:
        raise ClientError(f"{out} cannot be read ({error.strerror}); choose another folder") from error
    strange = strange or [name for name, needed in _DOCUMENTS.items() if not _is_ours(out / name, needed)]
    if strange:
        listed = ", ".join(strange[:_NAMED]) + (", ..." if len(strange) > _NAMED else "")
        raise ClientError(f"{out} contains other files ({listed}); choose another folder, or move these files away")


def clear_output_folder(out: Path) -> None:
    """Remove the files of a run; :func:`prepare_output_folder` has checked that there are no others."""
    for name in (SUMMARY, *FILES, *WORKBOOKS):  # the summary first: it marks the other files as complete
        (out / name).unlink(missing_ok=True)
    remove_workspace(out / PARTS)


def _strange(out: Path) -> list[str]:
    """Names that no run has written: all names, if nothing shows that a run used the folder."""
    found = sorted(path.name for path in out.iterdir())
    strange = [name for name in found if final_name(name) not in _NAMES]
    if PARTS in found:
        parts = out / PARTS
        is_folder = parts.is_dir() and not parts.is_symlink()
        strange += [f"{PARTS}/{name}" for name in unknown_files(parts)] if is_folder else [PARTS]
    # A run creates the lock file first, but a copy of the folder may lack it.
    is_marked = bool({LOCK, SUMMARY} & set(found)) or (out / PARTS / MANIFEST).exists()
    return strange or ([] if is_marked else found)


def _is_ours(path: Path, needed: set[str]) -> bool:
    document = read_json(path)
    if document is None:
        return True
    return isinstance(document, dict) and needed <= set(document) and isinstance(document["key"], dict)
