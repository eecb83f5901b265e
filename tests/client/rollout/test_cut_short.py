"""A switch, a rollback and a registration that end at any moment: killed, or by one signal and then another."""

import contextlib
import errno
import functools
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_torchserve import FakeTorchServe, write_archive

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.management import Management
from client.api.tokens import KEY_FILE, Tokens
from client.archives.model_store import ModelStore
from client.rollout import loading
from client.rollout.rollout import RefusedError, Rollout
from client.server.logs import LoadFailures
from training.system.interrupts import signals_like_ctrl_c

MODEL = "intermediate"
# What changes or asks the server, and what changes the store.
STEPS = [
    (FakeTorchServe, "_manage"),
    (FakeTorchServe, "_predict"),
    (os, "link"),
    (os, "fsync"),
    (Path, "replace"),
    (Path, "unlink"),
]


class KilledError(BaseException):
    """The process is gone: nothing of it runs any more."""


class Moments:
    """Counts the moments before and after each step, and acts at some of them.

    Args:
        act: what happens.
        at: the moments, counted from 0.
        over: whether nothing works after the first of them.
    """

    def __init__(self, act: Callable[[], None], *at: int, over: bool = False) -> None:
        self.act, self.at, self.over, self.count = act, at, over, 0

    def pass_by(self) -> None:
        now, self.count = self.count, self.count + 1
        if now in self.at or (self.over and self.at and now > self.at[0]):
            self.act()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in STEPS:
                patch.setattr(owner, name, self._around(getattr(owner, name)))
            yield

    def _around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.pass_by()
            result = step(*arguments, **options)
            self.pass_by()
            return result

        return wrapped


class World:
    """A server with version 1.0 as the default, and a store with two more versions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ModelStore(folder / "model_store")
        self.store.folder.mkdir(parents=True)
        for version in ("1.0", "2.0", "3.0"):
            write_archive(self.store.folder, MODEL, version, workers=2)
        (self.store.folder / f"{MODEL}.mar").hardlink_to(self.store.folder / f"{MODEL}-1.0.mar")
        self.server = FakeTorchServe(self.store.folder, folder / KEY_FILE)
        self.said: list[str] = []
        self.rollout.management.register(f"{MODEL}.mar", workers=2)

    @functools.cached_property
    def rollout(self) -> Rollout:
        tokens = Tokens(self.server.key_file, transport=self.server.transport)
        client = ProductClient(tokens=tokens, transport=self.server.transport)
        management = Management(tokens=tokens, transport=self.server.transport)
        failures = LoadFailures.from_now_on(self.folder)
        return Rollout(client, management, self.store, failures, log=self.said.append, drain_grace=0)

    @property
    def default(self) -> str:
        return self.server.defaults[MODEL]

    def serves_only(self, version: str) -> bool:
        """This version answers, no other one is registered, and a start would load it."""
        registered = list(self.server.models[MODEL])
        return (self.default, registered, self.store.default_version(MODEL)) == (version, [version], version)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "FOUND_TIMEOUT", 0)


def killed() -> None:
    raise KilledError


def killed_everywhere(tmp_path: Path, before: Callable[[World], object], act: Callable[[World], object]) -> list[World]:
    """Worlds in which a process was killed, one for each moment."""
    worlds: list[World] = []
    for moment in itertools.count():
        world = World(tmp_path / f"{len(worlds)}")
        before(world)
        moments = Moments(killed, moment, over=True)
        with moments.counted(), contextlib.suppress(KilledError):
            act(world)
        if moments.count <= moment:
            return worlds
        worlds.append(world)
    raise AssertionError


def switch(world: World, version: str = "2.0") -> None:
    world.rollout.switch(MODEL, version)


def nothing(_: World) -> None:
    pass


def test_a_killed_switch_is_finished_by_the_same_command_and_can_be_taken_back(tmp_path: Path) -> None:
    worlds = killed_everywhere(tmp_path, nothing, switch)
    assert len({world.default for world in worlds}) == 2 and len(worlds) > 50
    for world in worlds:
        switch(world)
        assert world.serves_only("2.0")
        assert world.rollout.rollback(MODEL) == "1.0" and world.serves_only("1.0")


def test_a_killed_switch_can_be_taken_back_at_once(tmp_path: Path) -> None:
    for world in killed_everywhere(tmp_path, nothing, switch):
        if world.default == "2.0":
            assert world.rollout.rollback(MODEL) == "1.0" and world.serves_only("1.0")
        else:
            with pytest.raises(ClientError, match=r"no switch to intermediate 1\.0 is on record"):
                world.rollout.rollback(MODEL)


def test_another_switch_after_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    for world in killed_everywhere(tmp_path, nothing, switch):
        before = world.default
        left = set(world.server.models[MODEL]) - {before} if before == "1.0" else set()
        switch(world, "3.0")
        assert world.default == "3.0" and set(world.server.models[MODEL]) == {"3.0"} | left
        assert world.rollout.rollback(MODEL) == before


def test_a_killed_rollback_goes_on_to_where_it_was_going(tmp_path: Path) -> None:
    worlds = killed_everywhere(tmp_path, switch, lambda world: world.rollout.rollback(MODEL))
    ended = [
        world for world in worlds if world.serves_only("1.0") and not world.store.switches.unfinished(MODEL, "1.0")
    ]
    for world in worlds:
        if world not in ended:
            assert world.rollout.rollback(MODEL) == "1.0" and world.serves_only("1.0")
    assert len(ended) <= 2


def test_a_killed_registration_is_finished_by_the_same_command(tmp_path: Path) -> None:
    for world in killed_everywhere(tmp_path, nothing, lambda world: world.rollout.register(f"{MODEL}-2.0.mar")):
        world.rollout.register(f"{MODEL}-2.0.mar")
        assert world.default == "1.0" and len(world.server.models[MODEL]["2.0"].workers) == 2


def test_what_an_old_client_or_a_hand_made_the_default_is_what_a_start_loads(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rollout.management.register(f"{MODEL}-2.0.mar")
    world.rollout.management.set_default(MODEL, "2.0")
    switch(world)
    assert world.serves_only("2.0") and world.rollout.rollback(MODEL) == "1.0"


def test_a_switch_that_was_cut_short_by_a_version_with_wrong_answers_goes_back(tmp_path: Path) -> None:
    worlds = killed_everywhere(tmp_path, nothing, switch)
    world = next(world for world in worlds if world.default == "2.0")
    world.server.broken["2.0"] = "labels"
    with pytest.raises(RefusedError, match=r"intermediate 1\.0 is still the default version"):
        switch(world)
    assert world.serves_only("1.0")


@pytest.mark.parametrize("broken", ["", "default"])
@pytest.mark.parametrize(
    ("number", "later"), [(signal.SIGINT, None), (signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGHUP, 3)]
)
def test_signals_leave_one_version_in_order(
    tmp_path: Path, number: signal.Signals, later: int | None, broken: str
) -> None:
    """A second signal does not stop the undo, also where a failure had begun it."""
    outcomes = set()
    for moment in itertools.count():
        world = World(tmp_path / f"{moment}")
        world.server.broken["2.0"] = broken
        moments = Moments(
            lambda: signal.raise_signal(number), *({moment} if later is None else {moment, moment + later})
        )
        with moments.counted(), contextlib.suppress(KeyboardInterrupt, RefusedError), signals_like_ctrl_c():
            switch(world)
        assert world.default == world.store.default_version(MODEL)
        outcomes.add(world.default)
        if world.default == "1.0":
            assert world.serves_only("1.0")
        else:
            switch(world)
            assert world.serves_only("2.0")
        if moments.count <= moment:
            break
    assert outcomes == ({"1.0"} if broken else {"1.0", "2.0"})


def test_a_registration_that_the_server_still_works_on_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TorchServe unpacks the archive before it knows the version."""
    world, register = World(tmp_path), FakeTorchServe._register
    asked: list[object] = []

    def interrupted(server: FakeTorchServe, request: object) -> None:
        asked.append(request)
        signal.raise_signal(signal.SIGHUP)

    def known_later(server: FakeTorchServe, *arguments: Any) -> Any:
        if asked and len(asked) < 4:
            asked.append(arguments)
        elif asked and "2.0" not in server.models[MODEL] and len(asked) == 4:
            register(server, asked[0])  # type: ignore[arg-type]
            asked.append(arguments)
        return describe(server, *arguments)

    describe = FakeTorchServe._manage
    monkeypatch.setattr(FakeTorchServe, "_register", interrupted)
    monkeypatch.setattr(FakeTorchServe, "_manage", known_later)
    monkeypatch.setattr(loading, "_POLL", 0)
    monkeypatch.setattr(loading, "FOUND_TIMEOUT", 5)
    with pytest.raises(KeyboardInterrupt), signals_like_ctrl_c():
        switch(world)
    assert len(asked) == 5 and world.serves_only("1.0")


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def fill_up(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("steps", "fail", "reason", "reached"),
    [
        (("os.link", "shutil.copy"), refuse, r"intermediate\.mar cannot be read or written", []),
        (("os.link", "shutil.copy"), fill_up, "disk of .* is full: intermediate.mar", []),
        (("os.fsync",), fill_up, r"is full: switches\.jsonl", ["POST"]),
        (("pathlib.Path.replace",), refuse, r"intermediate\.mar cannot be", ["POST", "PUT"]),
    ],
)
def test_a_store_that_cannot_be_written_to_keeps_the_old_version(
    tmp_path: Path, steps: tuple[str, ...], fail: Callable[..., None], reason: str, reached: list[str]
) -> None:
    world = World(tmp_path)
    world.server.requests.clear()
    with pytest.MonkeyPatch.context() as patch:
        for step in steps:
            patch.setattr(step, fail)
        with pytest.raises(RefusedError, match=f"{reason}.* intermediate 1\\.0 is still the default version"):
            switch(world)
    changes = {request.method for request in world.server.requests if request.url.path.startswith("/models")}
    assert changes >= set(reached) and ("PUT" in changes) >= ("PUT" in reached)
    assert world.serves_only("1.0")
    switch(world)
    assert world.serves_only("2.0")


def test_a_store_without_hard_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, folder = World(tmp_path), tmp_path / "model_store"
    (folder / f"{MODEL}-1.0.mar").unlink()  # only the default's name is left
    monkeypatch.setattr(os, "link", refuse)
    switch(world)
    assert world.serves_only("2.0") and world.rollout.rollback(MODEL) == "1.0" and world.serves_only("1.0")
    assert not (folder / f"{MODEL}.mar").samefile(folder / f"{MODEL}-1.0.mar")
    assert not [path for path in folder.iterdir() if path.name.startswith(".") and path.name != ".switch.lock"]
