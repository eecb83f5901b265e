"""Registers models and switches versions without failing a request; only a verified version becomes the default.

The steps of a switch: compare the archive with its checksums -> register the new version beside the old one -> wait for
READY workers -> ask for the golden products at ``/predictions/{model}/{new}`` -> compare both versions on a sample ->
set-default -> check the default -> drain the old version -> unregister it. If a step up to the check fails, the old
version stays or becomes the default again, and the new one is unregistered.
"""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager

from client.api.errors import ClientError, ServerError
from client.api.inference import ProductClient
from client.api.log import Log
from client.api.management import Management, ModelVersion
from client.archives.golden_products import GoldenSet, check_files, check_golden_answers, read_golden
from client.archives.model_store import Archive, ModelStore
from client.rollout.comparison import compare_versions
from client.rollout.sample import Sample
from client.server.logs import LoadFailures

DRAIN_TIMEOUT = 60.0
CATCH_UP_TIMEOUT, CAUGHT_UP = 20.0, 4  # seconds; requests in the queue of a server that keeps up with its load
# Longer than a batch takes: TorchServe counts the requests in a queue, not those that a worker is answering.
DRAIN_GRACE = 2.0
_POLL = 0.2


class RefusedError(ClientError):
    """The new version was refused; the server is in its earlier state."""


class DrainError(ClientError):
    """A version still has requests; it stays registered."""


@dataclasses.dataclass(frozen=True)
class Rollout:
    """Changes the versions on one server.

    Args:
        client: client of the inference API.
        management: client of the management API.
        store: the server's model store.
        failures: load failures from the server's log.
        log: gets a line for each step.
        drain_grace: seconds that a version with an empty queue stays, so that its workers finish their last batch.
    """

    client: ProductClient
    management: Management
    store: ModelStore
    failures: LoadFailures
    log: Log = print
    drain_grace: float = DRAIN_GRACE

    def register(self, name: str, *, workers: int | None = None) -> None:
        """Register an archive, as a new model or as another version of a registered one.

        Args:
            name: file name in the store.
            workers: number of workers; None takes the archive's own number.

        Raises:
            RefusedError: the archive is damaged, does not load, or gives wrong answers to its golden products.
            ClientError: the archive does not exist or is already registered.
        """
        archive = self.store.archive(name)
        if self.management.find(archive.model, archive.version) is not None:
            raise ClientError(f"{archive.model} {archive.version} is already registered")
        with self._undone_on_failure(archive, self.management.find(archive.model)):
            golden = self._verified(archive)
            self._bring_up(archive, workers=workers or archive.workers())
            self._ask(golden, archive, "it", version=archive.version)

    def switch(self, model: str, version: str, *, sample: Sample | None = None) -> None:
        """Make another version the default.

        Args:
            model: registered name.
            version: exact version; its archive is in the store.
            sample: real products that both versions have to answer alike; None asks only for the golden products.

        Raises:
            RefusedError: the new version is damaged, does not load, gives wrong answers to its golden products, or
                differs too often on the sample; the old version is still the default.
            DrainError: the new version is the default, but the old one still gets requests and stays registered.
            ClientError: the archive or the model does not exist, or the version is already the default.
            LockedError: another switch is running.
        """
        with self.store.lock():
            archive, old = self.store.version(model, version), self._default(model)
            if old.version == version:
                if self.store.default_version(model) != version:  # a switch was killed after set-default
                    self.store.make_default(archive)
                    self.log(f"{model}.mar is {version} now: an earlier switch to it had been interrupted")
                raise ClientError(f"{model} {version} is already the default version")
            with self._undone_on_failure(archive, old):
                golden = self._verified(archive)
                self._bring_up(archive, workers=max(1, old.min_workers))
                self._ask(golden, archive, "it", version=version)
                if sample is not None:
                    self._compare(archive, old, sample)
                self.management.set_default(model, version)
                self.log(f"set-default: {model} {version} is the default version")
                self._check(golden, archive)
            self.store.make_default(archive)
            self.store.record_switch(model, old=old.version, new=version)
            self.retire(model, old.version)

    def plan(self, model: str, version: str, *, sample: Sample | None = None) -> None:
        """Check the archive and log the steps of :meth:`switch` without changing anything.

        Raises:
            RefusedError: the archive is damaged.
            ClientError: the archive or the model does not exist, or the version is already the default.
        """
        archive, old = self.store.version(model, version), self._default(model)
        if old.version == version:
            raise ClientError(f"{model} {version} is already the default version")
        golden = self._verified(archive)
        again = self.management.find(model, version) is not None
        workers = max(1, old.min_workers)
        compared = []
        if sample is not None:
            compared = [
                f"compare both versions on {len(sample.products)} sample products; "
                f"at least {sample.min_agreement:.1%} of the answers have to agree"
            ]
        steps = [
            f"register {archive.path.name} {'again ' if again else ''}with {workers} worker(s) beside {old.version}, "
            f"which has {old.workers.count('READY')} of {old.min_workers} READY and {old.pending} request(s) waiting",
            f"ask {version} for its {len(golden.products)} golden products",
            *compared,
            f"make {version} the default version of {model} and ask it for the golden products again",
            f"wait until {old.version} is idle, then unregister it; its archive stays",
        ]
        for step in steps:
            self.log(f"would {step}")

    def rollback(self, model: str, version: str | None = None) -> str:
        """Switch back to the previous default version, by the steps of :meth:`switch`.

        Args:
            model: registered name.
            version: version to go back to; None takes the one before the last switch.

        Returns:
            The version that is the default now.

        Raises:
            RefusedError, DrainError: as in :meth:`switch`.
            ClientError: no earlier switch is on record.
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
        """Unregister a version that is not the default, once it has answered its requests.

        Raises:
            DrainError: the version still gets requests and stays registered.
            ClientError: the version is the default, or is not registered.
        """
        found = self.management.find(model, version)
        if found is None:
            raise ClientError(
                f"{model} {version} is not registered; `python -m client versions` lists the registered ones"
            )
        if found.default:
            raise ClientError(f"{model} {version} is the default version; switch to another one, or stop the server")
        self._drain(model, version)
        self.management.unregister(model, version)
        self.log(f"retire: {model} {version} is unregistered; its archive stays in {self.store.folder}")

    def _verified(self, archive: Archive) -> GoldenSet:
        """Check an archive's files and return its golden products."""
        try:
            count = check_files(archive.path)
        except ClientError as error:
            raise RefusedError(str(error)) from error
        self.log(f"archive: {count} files of {archive.path.name} match their checksums")
        return read_golden(archive.path)

    def _compare(self, archive: Archive, old: ModelVersion, sample: Sample) -> None:
        """Ask both versions about the sample; refuse the new one if too many answers differ."""
        model, version = archive.model, archive.version
        comparison = compare_versions(self.client, sample.products, model=model, old=old.version, new=version)
        self.log(
            f"sample: {comparison.count} products, {comparison.agreement:.1%} of the answers agree; "
            f"p50/p95 {old.version}: {comparison.old}, {version}: {comparison.new}"
        )
        if comparison.differing:
            self.log(f"sample: {comparison.examples()}")
        if comparison.agreement < sample.min_agreement:
            raise RefusedError(
                f"{comparison.agreement:.1%} of the answers to {comparison.count} sample products agree with "
                f"{old.version}, at least {sample.min_agreement:.1%} is required: {comparison.examples()}"
            )

    def _default(self, model: str) -> ModelVersion:
        found = self.management.find(model)
        if found is None:
            there = ", ".join(self.management.models()) or "none"
            raise ClientError(
                f"{model} is not registered, so there is no version to switch from; registered models: {there}. "
                f"`python -m client register {model}.mar` registers it"
            )
        return found

    def _bring_up(self, archive: Archive, *, workers: int) -> None:
        left_over = self.management.find(archive.model, archive.version)
        if left_over is not None:
            self.log(f"register: {archive.model} {archive.version} was already registered; it is loaded again")
            self.management.unregister(archive.model, archive.version)
        began = time.monotonic()
        self._let_catch_up(archive.model)
        self.management.register(archive.path.name)
        for number in range(2, workers + 1):  # one by one: a worker that loads takes a core from those that answer
            self.management.wait_ready(archive.model, archive.version)
            self._let_catch_up(archive.model)
            self.management.scale(archive.model, archive.version, workers=number)
        ready = self.management.wait_ready(archive.model, archive.version)
        seconds = time.monotonic() - began
        self.log(f"register: {archive.path.name}, {len(ready.workers)} worker(s) READY after {seconds:.1f} s")

    def _let_catch_up(self, model: str) -> None:
        """Wait until the default version's queue is short again: a full queue rejects requests."""
        deadline = time.monotonic() + CATCH_UP_TIMEOUT
        while (found := self.management.find(model)) and found.pending > CAUGHT_UP and time.monotonic() < deadline:
            time.sleep(_POLL)

    def _ask(self, golden: GoldenSet, archive: Archive, asked: str, *, version: str | None) -> None:
        if faults := check_golden_answers(self.client, golden, model=archive.model, version=version):
            raise RefusedError(faults[0] + (f" (and {len(faults) - 1} more)" if faults[1:] else ""))
        self.log(f"golden products: {len(golden.products)} of {len(golden.products)} as expected from {asked}")

    def _check(self, golden: GoldenSet, archive: Archive) -> None:
        """Check the default version at the management API and by requests without a version."""
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
            # TorchServe's own answer is not specific; the workers' log may give the reason.
            is_answer = isinstance(error, ServerError)
            logged = self.failures.wait_for_reason(archive.model, archive.version) if is_answer else None
            reason = (logged or str(error)).rstrip(".")
            raise RefusedError(f"{archive.model} {archive.version} is refused: {reason}. {outcome}") from error

    def _undo(self, archive: Archive, old: ModelVersion | None) -> str:
        try:
            if old is not None and self.management.default_version(archive.model) != old.version:
                self.management.set_default(archive.model, old.version)
                self._drain(archive.model, archive.version)
            if self.management.find(archive.model, archive.version) is not None:
                self.management.unregister(archive.model, archive.version)
        except ClientError as error:
            return f"It could not be unregistered ({error}): check with `python -m client versions {archive.model}`"
        return "It is not registered" if old is None else f"{archive.model} {old.version} is still the default version"

    def _drain(self, model: str, version: str) -> None:
        """Wait until the queue has been empty for ``drain_grace`` seconds."""
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
                    f"run `python -m client retire {model} {version}` once they have ended"
                )
            time.sleep(_POLL)
