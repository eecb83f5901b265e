"""The run folder of a start that fails before anything is trained: it disappears again."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.system.rank import is_main_process
from training.system.storage import LockedError

SPLIT_FILES = ("split.csv", "*/split.csv")  # a run, or the folds of one


@contextmanager
def kept_if_begun(folder: Path) -> Iterator[None]:
    """Remove what the block has written into a run folder, if it fails before it has split the products.

    What was there before stays. The folder itself stays if it was there, and so does another process's run.
    """
    before = set(folder.iterdir()) if folder.is_dir() else None
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    except LockedError:
        raise
    except BaseException:
        if is_main_process() and not any(any(folder.glob(name)) for name in SPLIT_FILES):
            with suppress(OSError):  # the error that is on its way matters more
                _remove(folder, kept=before or set(), folders=missing)
        raise


def _remove(folder: Path, *, kept: set[Path], folders: list[Path]) -> None:
    for path in set(folder.iterdir()) - kept:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for each in folders:
        each.rmdir()
