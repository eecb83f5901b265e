"""The entries of ``config.properties``, and what keeps each from working.

TorchServe itself reads the file twice, its start script in Python and its front end as Java properties, and most of
what it cannot use it ignores or replaces without a word. So every entry is checked before a start.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from client.api.errors import ClientError
from client.server.setting_checks import SCRIPT_READS, SETTINGS, VARIABLE, fault_of

DEFAULT_PORTS = {"inference_address": 80, "management_address": 8081, "metrics_address": 8082}  # of an address without
_ENVIRONMENT = 0  # the line of an entry that is none of the file's
_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\$")


class Entry(NamedTuple):
    """One entry.

    Args:
        key: its name.
        value: as TorchServe's front end understands it.
        line: its line in the file.
        written: the value as it is written.
    """

    key: str
    value: str
    line: int
    written: str


class Settings:
    """The entries of a configuration file.

    Args:
        path: the file.

    Raises:
        ClientError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ClientError(
                f"{path} cannot be read; run in the project's root, or name the file with --config ({why})"
            ) from error
        self.entries = [*(entries := list(_entries(text))), *_environment(entries)]
        self._found = {entry.key: entry for entry in self.entries}

    def get(self, key: str, default: str) -> str:
        """The value of a key, checked; ``default`` if the file does not set it.

        Raises:
            ClientError: the value cannot work.
        """
        entry = self._found.get(key)
        if entry is not None and (fault := fault_of(entry.key, entry.value)):
            raise ClientError(self._located(entry, fault))
        return default if entry is None else entry.value

    def url(self, key: str, default: str) -> SplitResult:
        """The address of an API with its port; a client may know it with a path or an IPv6 host, unlike TorchServe.

        Raises:
            ClientError: it is no address.
        """
        entry = self._found.get(key)
        value = default if entry is None else entry.value.strip().rstrip("/")
        try:
            url = urlsplit(value)
            usable = url.scheme in ("http", "https") and url.hostname and url.port != 0 and not url.netloc.endswith(":")
            port = url.port or DEFAULT_PORTS[key]
        except ValueError:
            usable, port = False, 0
        if not usable:
            raise ClientError(f"{self.where(key)}: {fault_of(key, value) or 'it is no address'}")
        return url if url.port else url._replace(netloc=f"{url.netloc}:{port}")

    def faults(self) -> list[str]:
        """What keeps entries from working at a start: place, reason and mend of each."""
        found = (self._located(entry, fault) for entry in self.entries if (fault := fault_of(entry.key, entry.value)))
        return [*found, *self._repeated(), *self._missing_files()]

    def where(self, key: str) -> str:
        """The place of a key, for messages."""
        entry = self._found.get(key)
        return self._place(entry) if entry else f"{key} (not set in {self.path})"

    def _place(self, entry: Entry) -> str:
        if entry.line == _ENVIRONMENT:
            return f"the environment, which enable_envvars_config lets in: TS_{entry.key.upper()}={entry.written}"
        return f"{self.path}, line {entry.line}: {entry.key}={entry.written}"

    def _located(self, entry: Entry, fault: str) -> str:
        return f"{self._place(entry)}: {fault}"

    def _repeated(self) -> Iterator[str]:
        for entry in self.entries:
            if entry is not (last := self._found[entry.key]) and last.line != _ENVIRONMENT:
                yield self._located(entry, f"line {last.line} sets it again, and that wins; delete one of them")

    def _missing_files(self) -> Iterator[str]:
        for key in ("metrics_config", "keystore", "private_key_file", "certificate_file"):
            entry = self._found.get(key)
            if entry and not fault_of(*entry[:2]) and not (self.path.parent / entry.value).is_file():
                yield self._located(entry, "there is no such file; name one, relative to the folder of this file")
        for key in DEFAULT_PORTS:
            entry = self._found.get(key)
            own = {"keystore"} <= self._found.keys() or {"private_key_file", "certificate_file"} <= self._found.keys()
            if entry and entry.value.lower().startswith("https:") and not own:
                yield self._located(
                    entry, "https needs a certificate_file and a private_key_file; a proxy is the simpler way"
                )


def _entries(text: str) -> Iterator[Entry]:
    """As Java reads properties: ``#`` and ``!`` begin a comment, a backslash at the end continues the line."""
    lines = iter(enumerate(text.split("\n"), start=1))
    for number, line in lines:
        content = line.lstrip()
        if not content or content[0] in "#!":
            continue
        while _CONTINUED.search(content):
            content = content[:-1] + next(lines, (0, ""))[1].lstrip()
        key, _, written = content.partition("=")
        yield Entry(key.strip(), _understood(key.strip(), written), number, written.strip())


def _environment(entries: Sequence[Entry]) -> Iterator[Entry]:
    """The variables that override the file, if it lets them."""
    if any(entry.key == "enable_envvars_config" and entry.value.lower() == "true" for entry in entries):
        for name, value in os.environ.items():
            if name.startswith("TS_") and (key := name.removeprefix("TS_").lower()) in SETTINGS:
                yield Entry(key, value, _ENVIRONMENT, value)


def _understood(key: str, written: str) -> str:
    """The value with its variables and, unless the start script reads it, its escapes replaced."""
    if key in SCRIPT_READS:
        return written.strip()
    value = VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), written.lstrip())
    return re.sub(r"\\(.)", r"\1", value)
