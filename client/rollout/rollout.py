"""Register models and switch their versions so that no request fails, and nothing but a verified version takes over.

Archive as it was verified -> register beside the old one -> workers READY -> golden products at
``/predictions/{model}/{new}`` -> a sample of real products, compared -> set-default -> check -> drain the old one ->
unregister it. Whatever fails before the check has passed leaves the old version the default, the new one unregistered.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from client.api.errors import ClientError, ServerError
from client.api.inference import ProductClient
from client.api.management import Management, ModelVersion
from client.archives.golden_products import GoldenSet, check_files, check_golden, read_golden
from client.archives.model_store import Archive, ModelStore
from client.rollout.comparison import compare
from client.rollout.sample import Sample
from client.server.logs import LoadFailures

DRAIN_TIMEOUT = 60.0
CATCH_UP_TIMEOUT, CAUGHT_UP = 20.0, 4  # seconds, and requests that wait at any load
# Longer than a batch takes: TorchServe counts what waits in a queue, not what a worker has in hands.
DRAIN_GRACE = 2.0
_POLL = 0.2
Say = Callable[[str], None]


class RefusedError(ClientError):
    """A version was not taken into service; all is as it was before."""


class DrainError(ClientError):
    """A version still has requests; it stays registered."""


@dataclasses.dataclass(frozen=True)
class Rollout:
    """Changes of version at one server.

    Args:
        client: of the inference API.
        management: of the management API.
        store: the server's model store.
        failures: the server's log, for the reasons of a refusal.
        say: is told each step.
        drain_grace: seconds that a drained version stays, for what its workers have in hands.
    """

    client: ProductClient
    management: Management
    store: ModelStore
    failures: LoadFailures
    say: Say = print
    drain_grace: float = DRAIN_GRACE

    def register(self, name: str, *, workers: int | None = None) -> None:
        """Register an archive, as a model of its own or as one more version beside the default one.

        Args:
            name: file name in the store.
            workers: how many; None is what the archive was made for.

        Raises:
            RefusedError: it is damaged, does not load, or does not answer as it was verified; it is not registered.
            ClientError: there is no such archive, or it is registered already.
        """
        archive = self.store.archive(name)
        if self.management.find(archive.model, archive.version) is not None:
            raise ClientError(f"{archive.model} {archive.version} is registered already")
        with self._undone_on_failure(archive, self.management.find(archive.model)):
            golden = self._verified(archive)
            self._bring_up(archive, workers=workers or archive.workers())
            self._ask(golden, archive, "it", version=archive.version)

    def switch(self, model: str, version: str, *, sample: Sample | None = None) -> None:
        """Make another version the default.

        Args:
            model: registered name.
            version: to the letter; its archive lies in the store.
            sample: real products that both versions have to answer alike; None asks the golden products alone.

        Raises:
            RefusedError: the new version is damaged, does not load, does not answer as it was verified, or answers the
                sample otherwise; the old one serves on.
            DrainError: the new version is the default, and the old one still gets requests.
            ClientError: there is nothing to switch: no such archive or model, or it is the default already.
            LockedError: another switch is at work.
        """
        with self.store.lock():
            archive, old = self.store.version(model, version), self._default(model)
            if old.version == version:
                self._finish(archive)
                raise ClientError(f"{model} {version} is the default version already")
            with self._undone_on_failure(archive, old):
                golden = self._verified(archive)
                self._bring_up(archive, workers=max(1, old.min_workers))
                self._ask(golden, archive, "it", version=version)
                if sample is not None:
                    self._compare(archive, old, sample)
                self.management.set_default(model, version)
                self.say(f"set-default: {model} {version} is the default version")
                self._check(golden, archive)
            self.store.make_default(archive)
            self.store.record_switch(model, old=old.version, new=version)
            self.retire(model, old.version)

    def plan(self, model: str, version: str, *, sample: Sample | None = None) -> None:
        """Check what can be checked from outside, and say what :meth:`switch` would do; nothing is changed.

        Raises:
            RefusedError: the archive is damaged.
            ClientError: there is nothing to switch, or the default version is not READY.
        """
        archive, old = self.store.version(model, version), self._default(model)
        if old.version == version:
            raise ClientError(f"{model} {version} is the default version already")
        golden = self._verified(archive)
        again = self.management.find(model, version) is not None
        workers = max(1, old.min_workers)
        steps = [
            f"register {archive.path.name} {'afresh ' if again else ''}with {workers} worker(s) beside {old.version}, "
            f"which has {old.workers.count('READY')} of {old.min_workers} READY and {old.pending} request(s) waiting",
            f"ask {version} its {len(golden.products)} golden products",
            *([] if sample is None else [f"compare both versions on {_what(sample)}"]),
            f"make {version} the default of {model} and ask it the golden products again",
            f"wait until {old.version} is idle, then unregister it; its archive stays",
        ]
        for step in steps:
            self.say(f"would {step}")

    def rollback(self, model: str, version: str | None = None) -> str:
        """Go back to the default version before, by the same safe steps.

        Args:
            model: registered name.
            version: to go back to; the one before the last switch otherwise.

        Returns:
            The default version now.

        Raises:
            RefusedError, DrainError: as in :meth:`switch`.
            ClientError: it is not known which version was the default before.
        """
        now = self._default(model).version
        before = version or self.store.version_before(model, now)
        if before is None:
            raise ClientError(
                f"no switch to {model} {now} is on record; "
                f"name the version: `python -m client rollback {model} VERSION`"
            )
        self.switch(model, before)
        return before

    def retire(self, model: str, version: str) -> None:
        """Take a version that is not the default out of the server, once its requests are answered.

        Raises:
            DrainError: requests still come in for it; it stays.
            ClientError: it is the default, or is not registered.
        """
        found = self.management.find(model, version)
        if found is None:
            raise ClientError(f"{model} {version} is not registered; `python -m client versions` lists what is")
        if found.default:
            raise ClientError(f"{model} {version} is the default version; switch to another one, or stop the server")
        self._drain(model, version)
        self.management.unregister(model, version)
        self.say(f"retire: {model} {version} is unregistered; its archive stays in {self.store.folder}")

    def _finish(self, archive: Archive) -> None:
        """What a switch that was killed between its last steps has left to do: a start has to load this version."""
        if self.store.default_version(archive.model) != archive.version:
            self.store.make_default(archive)
            self.say(f"{archive.model}.mar is {archive.version} now: a switch to it had been cut short")

    def _verified(self, archive: Archive) -> GoldenSet:
        """The golden products of an archive whose files are as they were verified."""
        try:
            count = check_files(archive.path)
        except ClientError as error:
            raise RefusedError(str(error)) from error
        self.say(f"archive: {count} files of {archive.path.name} are as they were verified")
        return read_golden(archive.path)

    def _compare(self, archive: Archive, old: ModelVersion, sample: Sample) -> None:
        """Both versions answer the sample; too many other answers refuse the new one."""
        model, version = archive.model, archive.version
        comparison = compare(self.client, sample.products, model=model, old=old.version, new=version)
        self.say(
            f"sample: {comparison.count} products, {comparison.agreement:.1%} answered alike; "
            f"p50/p95 {old.version}: {comparison.old}, {version}: {comparison.new}"
        )
        if comparison.differing:
            self.say(f"sample: {comparison.examples()}")
        if comparison.agreement < sample.min_agreement:
            raise RefusedError(
                f"{comparison.agreement:.1%} of {comparison.count} sample products are answered as by {old.version}, "
                f"at least {sample.min_agreement:.1%} is required: {comparison.examples()}"
            )

    def _default(self, model: str) -> ModelVersion:
        found = self.management.find(model)
        if found is None:
            there = ", ".join(self.management.models()) or "none"
            raise ClientError(
                f"{model} is not registered, so there is no version to switch from; registered are: {there}. "
                f"`python -m client register {model}.mar` registers it"
            )
        return found

    def _bring_up(self, archive: Archive, *, workers: int) -> None:
        left_over = self.management.find(archive.model, archive.version)
        if left_over is not None:
            self.say(f"register: {archive.model} {archive.version} was registered already; it is loaded afresh")
            self.management.unregister(archive.model, archive.version)
        began = time.monotonic()
        self._let_catch_up(archive.model)
        self.management.register(archive.path.name)
        for number in range(2, workers + 1):  # one by one: what loads takes a core from those who answer
            self.management.wait_ready(archive.model, archive.version)
            self._let_catch_up(archive.model)
            self.management.scale(archive.model, archive.version, workers=number)
        ready = self.management.wait_ready(archive.model, archive.version)
        seconds = time.monotonic() - began
        self.say(f"register: {archive.path.name}, {len(ready.workers)} worker(s) READY after {seconds:.1f} s")

    def _let_catch_up(self, model: str) -> None:
        """Let the default version work off what has piled up: a full queue turns requests away."""
        deadline = time.monotonic() + CATCH_UP_TIMEOUT
        while (found := self.management.find(model)) and found.pending > CAUGHT_UP and time.monotonic() < deadline:
            time.sleep(_POLL)

    def _ask(self, golden: GoldenSet, archive: Archive, asked: str, *, version: str | None) -> None:
        if faults := check_golden(self.client, golden, model=archive.model, version=version):
            raise RefusedError(faults[0] + (f" (and {len(faults) - 1} more)" if faults[1:] else ""))
        self.say(f"golden products: {len(golden.products)} of {len(golden.products)} as expected from {asked}")

    def _check(self, golden: GoldenSet, archive: Archive) -> None:
        """The default is what it should be, by what management says and by what requests without a version get."""
        if (default := self.management.default_version(archive.model)) != archive.version:
            raise RefusedError(f"the default is {default} after set-default")
        answer = self.client.predict(golden.products[0].image, golden.products[0].text, model=archive.model)
        if answer.model.get("version") != archive.version:
            raise RefusedError(f"requests are answered by version {answer.model.get('version')} after set-default")
        self._ask(golden, archive, "the default", version=None)

    @contextmanager
    def _undone_on_failure(self, archive: Archive, old: ModelVersion | None) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            outcome = self._undo(archive, old)
            if not isinstance(error, ClientError):
                raise
            reason = self._reason(error, archive)
            raise RefusedError(f"{archive.model} {archive.version} is refused: {reason}. {outcome}") from error

    def _undo(self, archive: Archive, old: ModelVersion | None) -> str:
        try:
            if old is not None and self.management.default_version(archive.model) != old.version:
                self.management.set_default(archive.model, old.version)
                self._drain(archive.model, archive.version)
            if self.management.find(archive.model, archive.version) is not None:
                self.management.unregister(archive.model, archive.version)
        except ClientError as error:
            return f"It could not be taken out again ({error}): look with `python -m client versions {archive.model}`"
        return "It is not registered" if old is None else f"{archive.model} {old.version} is the default as before"

    def _reason(self, error: ClientError, archive: Archive) -> str:
        """TorchServe says that workers failed to start; their log says why."""
        logged = None
        if isinstance(error, ServerError):
            logged = self.failures.wait_for_reason(archive.model, archive.version)
        return (logged or str(error)).rstrip(".")

    def _drain(self, model: str, version: str) -> None:
        """Wait until the queue has been empty for the grace that a worker's last batch needs."""
        began = time.monotonic()
        idle_since: float | None = None
        while True:
            found, now = self.management.find(model, version), time.monotonic()
            if found is not None and found.pending:
                idle_since = None
            elif idle_since is None:
                idle_since = now
            if idle_since is not None and now - idle_since >= self.drain_grace:
                return
            if now - began > DRAIN_TIMEOUT:
                raise DrainError(
                    f"{model} {version} still gets requests, so it stays registered; "
                    f"`python -m client retire {model} {version}` once they have ended"
                )
            time.sleep(_POLL)


def _what(sample: Sample) -> str:
    return f"{len(sample.products)} sample products, at least {sample.min_agreement:.1%} of them to be answered alike"
