"""Versions under load: switches that lose nothing, and broken versions that never take over."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from broken import BROKEN, build_broken
from http_load import Load, percentile
from live_server import repack
from scale import Figures, count
from tqdm import tqdm

from client.api.management import Management
from client.archives.model_store import Archive, ModelStore
from client.rollout.rollout import RefusedError, Rollout
from client.server.config import ServerConfig


@pytest.fixture(scope="module")
def next_version(archive: Archive) -> str:
    """The same model once more, as another version."""
    version = f"{archive.version}-next"
    repack(archive.path, archive.path.with_name(f"{archive.model}-{version}.mar"), version=version)
    return version


@contextlib.contextmanager
def at_least(load: Load, requests: int, *, rate: float) -> Iterator[None]:
    """Load that goes on until so many requests are answered."""
    with load.at_rate(rate):
        yield
        while len(load.answers) < requests:
            time.sleep(0.05)


def version_of(body: bytes) -> str:
    return str(json.loads(body)["model"]["version"])


def test_switches_at_half_load(
    *,
    rollout: Rollout,
    archive: Archive,
    next_version: str,
    load: Load,
    capacity: float,
    figures: Figures,
) -> None:
    versions, lost, strays, total = [next_version, archive.version], Counter[int](), 0, 0
    slowest = 0.0
    switches, each = count(2, 20), count(100, 1000)
    for number in tqdm(range(switches), desc="switches", disable=None):
        load.answers.clear()
        target = versions[number % 2]
        with at_least(load, each, rate=capacity / 2):
            rollout.switch(archive.model, target)
            switched = time.monotonic()
        total += len(load.answers)
        lost += Counter(status for status in load.statuses().elements() if status != 200)
        slowest = max(slowest, percentile(load.answers, 0.99))
        after = [answer for answer in load.answers if answer.due > switched and answer.status == 200]
        strays += sum(version_of(answer.body) != target for answer in after)
    what = f"{switches} switches at half load, {total} requests"
    figures.require(what, "0 failed, 0 lost", f"{lost.total()} {dict(lost) or ''}", not lost)
    figures.require(what, "then 100 % from the new version", f"{strays} from the old one", not strays)
    figures.note(f"{what}: the slowest p99", f"{slowest:.2f} s")
    if switches % 2:
        rollout.switch(archive.model, archive.version)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_version_is_refused(
    *,
    kind: str,
    rollout: Rollout,
    management: Management,
    archive: Archive,
    store: ModelStore,
    load: Load,
    capacity: float,
    figures: Figures,
) -> None:
    path = build_broken(archive.path, kind, version="0.0-broken")
    default = management.default_version(archive.model)
    with at_least(load, 50, rate=capacity / 4), pytest.raises(RefusedError) as caught:
        rollout.switch(archive.model, "0.0-broken")
    path.unlink()
    said = str(caught.value).replace("\n", " ")
    served = {version_of(answer.body) for answer in load.answers if answer.status == 200}
    held = (
        re.search(BROKEN[kind][1], said) is not None
        and f"{archive.model} {default} is still the default version" in said
        and served == {default}
        and set(load.statuses()) == {200}
        and [version.version for version in management.versions(archive.model)] == [default]
        and store.default_version(archive.model) == default
    )
    figures.require(f"a broken version: {kind}", "refused with the reason; the old one serves on", said, held)


def client(config: ServerConfig, *arguments: str) -> "subprocess.Popen[str]":
    """A command in a process of its own."""
    command = [sys.executable, "-m", "client", "--config", str(config.path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def signalled(process: "subprocess.Popen[str]", line: str, *numbers: signal.Signals) -> int:
    """Send signals once a line has come; the exit status."""
    assert process.stdout is not None
    for printed in process.stdout:
        if printed.startswith(line):
            break
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.001)  # as a closed terminal sends them
    process.communicate(timeout=120)
    return process.returncode


def test_a_killed_switch_is_finished_by_the_same_command(
    *,
    config: ServerConfig,
    archive: Archive,
    next_version: str,
    management: Management,
    store: ModelStore,
    figures: Figures,
) -> None:
    tries = count(1, 5)
    for _ in range(tries):
        killed = signalled(client(config, "switch", archive.model, next_version), "set-default", signal.SIGKILL)
        left = (store.default_version(archive.model), len(management.versions(archive.model)))
        statuses = []
        for command, version in (
            (["switch", archive.model, next_version], next_version),
            (["rollback", archive.model], archive.version),
        ):
            with client(config, *command) as process:
                process.communicate(timeout=120)
            registered = [each.version for each in management.versions(archive.model)]
            statuses.append(
                (process.returncode, registered, store.default_version(archive.model)) == (0, [version], version)
            )
        figures.require(
            f"kill -9 of a switch after set-default, {tries} times",
            "the same command finishes it; a rollback goes back",
            f"left {left[0]} for a start and {left[1]} versions; then {'both' if all(statuses) else statuses}",
            killed == -signal.SIGKILL and all(statuses),
        )


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_undoes_a_switch(
    number: signal.Signals,
    *,
    config: ServerConfig,
    archive: Archive,
    next_version: str,
    management: Management,
    store: ModelStore,
    figures: Figures,
) -> None:
    status = signalled(client(config, "switch", archive.model, next_version), "archive", number, number)
    registered = [each.version for each in management.versions(archive.model)]
    figures.require(
        f"{number.name} twice while a switch loads",
        f"undone; exit status {128 + number}",
        f"{', '.join(registered)} registered; {status}",
        (status, registered, store.default_version(archive.model))
        == (128 + number, [archive.version], archive.version),
    )


def test_a_store_without_hard_links(
    *,
    rollout: Rollout,
    archive: Archive,
    next_version: str,
    store: ModelStore,
    figures: Figures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    rollout.switch(archive.model, next_version)
    copied = store.default_version(archive.model) == next_version
    back = rollout.rollback(archive.model)
    figures.require(
        "a switch and the way back where hard links are refused", "copies", f"{copied}, back to {back}", copied
    )
