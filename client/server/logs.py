"""Reads from the server's logs why a model did not load; TorchServe's answer does not contain the reason."""

import dataclasses
import re
import time
from pathlib import Path

MODEL_LOG = Path("logs") / "model_log.log"
SERVER_LOG = Path("logs") / "ts_log.log"
_FAILURE = re.compile(r"W-\d+-(\S+)-stdout MODEL_LOG - Failed to load model \S+, exception (.*)")
_LINE = re.compile(r"W-\d+-(\S+)-std(out|err) MODEL_LOG - (.*)")
# A crash of the interpreter (PYTHONFAULTHANDLER), an exception, an abort of a C++ library, the dynamic linker.
_LAST_WORDS = re.compile(
    r"(Fatal Python error: .*|(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b.*|"
    r"\s*what\(\): .*|.*error while loading shared libraries.*)"
)
_CONSEQUENCE = re.compile(r"No module named 'ts\.torch_handler|507 - System out of memory")  # of the error before it
_FLUSH_SECONDS = 2.0
_POLL = 0.1


@dataclasses.dataclass(frozen=True)
class LoadFailures:
    """Load failures that workers have logged since this object was created.

    Args:
        path: the server's ``model_log.log``.
        start: size of the log in bytes at that time.
    """

    path: Path
    start: int

    @classmethod
    def from_now_on(cls, folder: Path) -> "LoadFailures":
        """Watch the log of the server in ``folder``; without a log file there are never any failures."""
        path = folder / MODEL_LOG
        return cls(path, path.stat().st_size if path.exists() else 0)

    def reasons(self, model: str, version: str) -> list[str]:
        """The distinct reasons why workers of a version did not load."""
        found = [reason for worker, reason in _FAILURE.findall(self._read()) if worker == f"{model}_{version}"]
        return list(dict.fromkeys(found))

    def last_words(self, model: str, version: str) -> str | None:
        """What the workers of a version said last before they died: a signal with its cause, an exception, else the
        last line of stderr.
        """
        said = [(stream, line) for name, stream, line in _LINE.findall(self._read()) if name == f"{model}_{version}"]
        found = [line.strip() for _, line in said if _LAST_WORDS.fullmatch(line) and not _CONSEQUENCE.search(line)]
        fatal = [line for line in found if line.startswith("Fatal Python error")]
        errors = [line.strip() for stream, line in said if stream == "err" and line.strip()]
        return next(iter([*reversed(fatal), *reversed(found), *reversed(errors)]), None)

    def wait_for_reason(self, model: str, version: str) -> str | None:
        """The last reason; waits for it, since the server answers before it writes the log."""
        deadline = time.monotonic() + _FLUSH_SECONDS
        while not (reasons := self.reasons(model, version)) and self.path.exists() and time.monotonic() < deadline:
            time.sleep(_POLL)
        return reasons[-1] if reasons else None

    def _read(self) -> str:
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(self.start if self.start <= self.path.stat().st_size else 0)
            return file.read().decode("utf-8", "replace")


class FollowedLogs:
    """What a server and its workers log from now on. A log that has grown too large is renamed, and begins anew.

    Args:
        folder: the server's working folder.
    """

    def __init__(self, folder: Path) -> None:
        self._read = {folder / name: _size(folder / name) for name in (SERVER_LOG, MODEL_LOG)}

    def lines(self) -> list[str]:
        """The lines that were completed since the last call."""
        return [line for path in self._read for line in self._new_lines(path)]

    def _new_lines(self, path: Path) -> list[str]:
        start = self._read[path] if self._read[path] <= _size(path) else 0
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(start)
            text, end, _ = file.read().rpartition(b"\n")
        self._read[path] = start + len(text) + len(end)
        return text.decode("utf-8", "replace").splitlines()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def last_lines(path: Path, count: int) -> str:
    """The last lines of a log file; "" if it does not exist."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
