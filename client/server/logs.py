"""The server's logs, read for the reason why a model did not load: TorchServe's own answer does not say it."""

import dataclasses
import re
import time
from pathlib import Path

MODEL_LOG = Path("logs") / "model_log.log"
_FAILURE = re.compile(r"W-\d+-(\S+)-stdout MODEL_LOG - Failed to load model \S+, exception (.*)")
_FLUSH_SECONDS = 2.0
_POLL = 0.1


@dataclasses.dataclass(frozen=True)
class LoadFailures:
    """What workers said on failing to load, from the moment this was made.

    Args:
        path: the server's ``model_log.log``.
        start: bytes that were there before.
    """

    path: Path
    start: int

    @classmethod
    def from_now_on(cls, folder: Path) -> "LoadFailures":
        """Watch the log of a server that works in ``folder``; without one, as on another machine, nothing is seen."""
        path = folder / MODEL_LOG
        return cls(path, path.stat().st_size if path.exists() else 0)

    def reasons(self, model: str, version: str) -> list[str]:
        """The distinct reasons for which workers of a version did not load."""
        found = [reason for worker, reason in _FAILURE.findall(self._read()) if worker == f"{model}_{version}"]
        return list(dict.fromkeys(found))

    def wait_for_reason(self, model: str, version: str) -> str | None:
        """The last reason; the server writes its log a little later than it answers."""
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


def last_lines(path: Path, count: int) -> str:
    """The last lines of a log file, or nothing."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
