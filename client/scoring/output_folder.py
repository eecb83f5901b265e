"""The folder of a run: nothing in it is anybody else's, and no other run is at work there."""

from contextlib import AbstractContextManager
from pathlib import Path

from client.api.errors import ClientError
from client.scoring.outputs import FILES, SUMMARY
from client.scoring.workspace import MANIFEST, PARTS, remove_workspace, strangers
from training.system.storage import final_name, locked, make_folder, read_json

LOCK = ".lock"
_NAMES = {LOCK, PARTS, SUMMARY, *FILES}
_DOCUMENTS = {
    SUMMARY: {"key", "read", "predicted", "review", "errors", "reasons"},
    f"{PARTS}/{MANIFEST}": {"key", "read"},
}
_NAMED = 5


def claim(out: Path) -> None:
    """Make the folder of a run; one that holds anything else is left alone, since a run deletes and writes over files.

    Args:
        out: folder of the results, new, empty, or left by a run.

    Raises:
        ClientError: it holds what no run has written, or cannot be read.
        StorageError: it cannot be made.
    """
    make_folder(out)
    try:
        strange = _strange(out)
    except OSError as error:
        raise ClientError(f"{out} cannot be read ({error.strerror}); choose another folder") from error
    strange = strange or [name for name, needed in _DOCUMENTS.items() if not _is_ours(out / name, needed)]
    if strange:
        listed = ", ".join(strange[:_NAMED]) + (", ..." if len(strange) > _NAMED else "")
        raise ClientError(f"{out} holds something else already ({listed}); choose another folder, or move that away")


def run_lock(out: Path) -> AbstractContextManager[None]:
    """Keep other runs out of a folder.

    Raises:
        LockedError: one is at work there.
        StorageError: the folder cannot be written to.
    """
    return locked(out / LOCK, taken=f"another run is at work in {out}; wait until it has ended")


def clear(out: Path) -> None:
    """Remove what a run has left in its folder; :func:`claim` has seen that nothing else is there."""
    for name in (SUMMARY, *FILES):  # the summary first: it says that the rest is complete
        (out / name).unlink(missing_ok=True)
    remove_workspace(out / PARTS)


def _strange(out: Path) -> list[str]:
    """Names that no run has written; all of them where nothing says that there was a run."""
    found = sorted(path.name for path in out.iterdir())
    strange = [name for name in found if final_name(name) not in _NAMES]
    if PARTS in found:
        parts = out / PARTS
        is_folder = parts.is_dir() and not parts.is_symlink()
        strange += [f"{PARTS}/{name}" for name in strangers(parts)] if is_folder else [PARTS]
    # The lock is made before anything else; a copy of the folder may have lost it.
    is_marked = bool({LOCK, SUMMARY} & set(found)) or (out / PARTS / MANIFEST).exists()
    return strange or ([] if is_marked else found)


def _is_ours(path: Path, needed: set[str]) -> bool:
    document = read_json(path)
    if document is None:
        return True
    return isinstance(document, dict) and needed <= set(document) and isinstance(document["key"], dict)
