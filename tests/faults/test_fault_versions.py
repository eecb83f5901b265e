"""Versions under load: switches that lose nothing, and broken versions that never take over."""

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from broken import BROKEN, build_broken
from http_load import Load
from live_server import repack
from scale import Figures, count
from tqdm import tqdm

from client.api.management import Management
from client.archives.model_store import Archive, ModelStore
from client.rollout.rollout import RefusedError, Rollout


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
    switches, each = count(2, 20), count(100, 1000)
    for number in tqdm(range(switches), desc="switches", disable=None):
        load.answers.clear()
        target = versions[number % 2]
        with at_least(load, each, rate=capacity / 2):
            rollout.switch(archive.model, target)
            switched = time.monotonic()
        total += len(load.answers)
        lost += Counter(status for status in load.statuses().elements() if status != 200)
        after = [answer for answer in load.answers if answer.due > switched and answer.status == 200]
        strays += sum(version_of(answer.body) != target for answer in after)
    what = f"{switches} switches at half load, {total} requests"
    figures.require(what, "0 failed, 0 lost", f"{lost.total()} {dict(lost) or ''}", not lost)
    figures.require(what, "then 100 % from the new version", f"{strays} from the old one", not strays)
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
