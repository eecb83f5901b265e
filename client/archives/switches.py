"""The record of switches, ``switches.jsonl`` in the model store: which version followed which."""

import dataclasses
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from training.system.storage import changed_file

SWITCHES = "switches.jsonl"


@dataclasses.dataclass(frozen=True)
class Switch:
    """An entry of the record.

    Args:
        model: registered name.
        old: version that was the default.
        new: version that became the default.
        begun: the command that is on its way (``switch`` or ``rollback``); "" at its end.
        undone: at its end, the old version was the default again.
    """

    model: str
    old: str
    new: str
    begun: str = ""
    undone: bool = False


@dataclasses.dataclass(frozen=True)
class SwitchRecord:
    """The switches of one model store. Each has two lines: one before it changes the server, one at its end.

    Args:
        folder: the model store.
    """

    folder: Path

    def add(self, switch: Switch) -> None:
        """Append a line and flush it to the disk.

        Raises:
            StorageError: the file cannot be written.
        """
        entry: dict[str, str | bool] = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "model": switch.model}
        entry |= {"from": switch.old, "to": switch.new}
        entry |= {"begun": switch.begun} if switch.begun else {"undone": True} if switch.undone else {}
        path = self.folder / SWITCHES
        with changed_file(path), path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
            whole = file.read(1) in (b"", b"\n")  # a full disk or a kill may have left half a line
            file.write(b"" if whole else b"\n")
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def end(self, model: str, *, old: str, undone: bool = False) -> None:
        """Append the end of the last switch of a model, if it began with ``old`` and has no end yet.

        Raises:
            StorageError: the file cannot be written.
        """
        last = self._last(model)
        if last is not None and last.begun and last.old == old:
            self.add(dataclasses.replace(last, begun="", undone=undone))

    def unfinished(self, model: str, default: str) -> Switch | None:
        """The switch to the present default version, if it was cut short.

        Args:
            model: registered name.
            default: its default version; what was cut short before set-default is not unfinished.
        """
        last = self._last(model)
        return last if last is not None and last.begun and last.new == default else None

    def version_before(self, model: str, version: str) -> str | None:
        """The version that the last switch to this one replaced; None if no switch is on record."""
        ended = [switch for switch in self._read() if not switch.begun and not switch.undone]
        olds = [switch.old for switch in ended if (switch.model, switch.new) == (model, version)]
        unfinished = self.unfinished(model, version)
        return unfinished.old if unfinished else olds[-1] if olds else None

    def _last(self, model: str) -> Switch | None:
        return next((switch for switch in reversed(self._read()) if switch.model == model), None)

    def _read(self) -> list[Switch]:
        """All entries; a line that is none is passed over.

        Raises:
            StorageError: the file cannot be read.
        """
        path = self.folder / SWITCHES
        with changed_file(path):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return [switch for line in lines if (switch := _switch(line))]


def _switch(line: str) -> Switch | None:
    try:
        entry = json.loads(line)
        return Switch(
            str(entry["model"]), str(entry["from"]), str(entry["to"]), str(entry.get("begun", "")), "undone" in entry
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
