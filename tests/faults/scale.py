"""How much of each fault a run does, and what came out of it: what, required, measured, as a table and as JSON.

    make test-faults                                            every count of the full run, on a quiet machine
    python -m pytest tests/faults -m faults                     the same faults, a minute of them
    FAULTS_ARCHIVE=model_store/intermediate.mar make test-faults   with a model of one's own

``FAULTS_OUT`` names a folder for ``faults.md`` and ``faults.json``.
"""

import dataclasses
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

FULL = os.environ.get("FAULTS") == "full"


def count(short: int, full: int) -> int:
    """How many of something: the first in a short run, the second in a full one."""
    return full if FULL else short


@dataclasses.dataclass(frozen=True)
class Figure:
    """A line of the table.

    Args:
        what: the fault, with its count.
        required: what has to come out.
        measured: what came out.
        held: whether that is so; None where nothing is required, or a short run is too small to tell.
    """

    what: str
    required: str
    measured: str
    held: bool | None


class Figures:
    """The lines of one run."""

    def __init__(self) -> None:
        self.lines: list[Figure] = []

    def require(self, what: str, required: str, measured: str, held: bool) -> None:
        """Add a line, and fail the test where it does not hold."""
        self.lines.append(Figure(what, required, measured, held))
        assert held, f"{what}: required {required}, measured {measured}"

    def require_timing(self, what: str, required: str, measured: str, held: bool) -> None:
        """Add a line about time. A short run only shows it: on a busy machine it says nothing."""
        if FULL:
            self.require(what, required, measured, held)
        else:
            self.lines.append(Figure(what, required, measured, None))

    def note(self, what: str, measured: str) -> None:
        """Add a line that nothing is required of."""
        self.lines.append(Figure(what, "", measured, None))

    def markdown(self) -> str:
        """The table, with the machine and the moment."""
        words = {True: "yes", False: "**no**", None: "not judged"}
        rows = [f"| {line.what} | {line.required} | {line.measured} | {words[line.held]} |" for line in self.lines]
        heading = f"{'Full' if FULL else 'Short'} run of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_machine()}."
        return "\n".join([heading, "", "| what | required | measured | held |", "|---|---|---|---|", *rows, ""])

    def write(self, folder: Path) -> None:
        """Write ``faults.md`` and ``faults.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "faults.md").write_text(self.markdown(), encoding="utf-8")
        document = {
            "full": FULL,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": _machine(),
            "figures": [dataclasses.asdict(line) for line in self.lines],
        }
        (folder / "faults.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _machine() -> str:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = cpu[0].split(": ", 1)[1] if cpu else platform.processor()
    return f"{len(os.sched_getaffinity(0))} cores of {name}, Python {platform.python_version()}"
