"""Registers models and switches versions without failing a request; only a verified version becomes the default.

The steps of a switch: compare the archive with its checksums, and its classes with the old ones -> register the new
version beside the old one -> wait for READY workers -> ask for the golden products at ``/predictions/{model}/{new}`` ->
compare both versions on a sample -> set-default -> check the default -> make it the version that a server start loads
-> drain the old version -> unregister it. If a step up to the check fails, the old version stays or becomes the default
again, and the new one is unregistered. What the file system may refuse is tried before the server is changed. A switch
that was killed on its way is finished by the same command.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from client.api.errors import ClientError, ServerError
from client.api.inference import ProductClient
from client.api.log import Log
from client.api.management import Management, ModelVersion
from client.archives.golden_products import GoldenSet, check_files, check_golden_answers, read_golden
from client.archives.model_store import Archive, ModelStore
from client.archives.switches import Switch
from client.rollout.classes import archive_class_changes
from client.rollout.comparison import compare_versions
from client.rollout.loading import add_workers, bring_up
from client.rollout.queues import DRAIN_GRACE, drain
from client.rollout.sample import Sample
from client.server.logs import LoadFailures
from training.system.interrupts import delay_signals
from training.system.storage import StorageError


class RefusedError(ClientError):
    """The new version was refused; the server is in its earlier state."""


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

        If it is registered, this adds the workers that are missing and asks for the golden products.

        Args:
            name: file name in the store.
            workers: number of workers; None takes the archive's own number.

        Raises:
            RefusedError: the archive is damaged, does not load, or gives wrong answers to its golden products.
            ClientError: the archive does not exist.
        """
        archive = self.store.archive(name)
        found = self.management.find(archive.model, archive.version)
        if found is not None:  # perhaps by a registration that was cut short
            self.log(f"register: {archive.model} {archive.version} is already registered")
            golden = self._verified(archive)
            add_workers(self.management, archive, have=found.min_workers, workers=workers or archive.workers())
            self._ask(golden, archive, "it", version=archive.version)
            return
        with self._undone_on_failure(archive, self.management.find(archive.model)):
            golden = self._verified(archive)
            self._load(archive, workers or archive.workers())
            self._ask(golden, archive, "it", version=archive.version)

    def switch(
        self,
        model: str,
        version: str,
        *,
        sample: Sample | None = None,
        command: str = "switch",
        allow_classes: bool = False,
    ) -> None:
        """Make another version the default, or finish a switch to it that was cut short.

        Args:
            model: registered name.
            version: exact version; its archive is in the store.
            sample: real products that both versions have to answer alike; None asks only for the golden products.
            command: for the record: ``switch`` or ``rollback``.
            allow_classes: also switch to a version with other classes.

        Raises:
            RefusedError: the new version is damaged, has other classes, does not load, gives wrong answers to its
                golden products, or differs too often on the sample; or the store cannot be written to. The old
                version is still the default.
            DrainError: the new version is the default, but the old one still gets requests and stays registered.
            ClientError: the archive or the model does not exist.
            LockedError: another switch is running.
        """
        with self.store.lock():
            archive, old = self.store.version(model, version), self._default(model)
            if old.version == version:
                self._finish(archive)
                return
            cut_short = self.store.switches.unfinished(model, old.version)
            if cut_short:
                self._end_of_switch(model, cut_short.old)
            with ExitStack() as held, self._undone_on_failure(archive, old), self.store.next_default(archive) as load:
                golden = self._verified(archive)
                self._compare_classes(archive, old, allowed=allow_classes)
                self._load(archive, max(1, old.min_workers))
                self._ask(golden, archive, "it", version=version)
                if sample is not None:
                    self._compare(archive, old, sample)
                self.store.switches.add(Switch(model, old.version, version, begun=command))
                self.management.set_default(model, version)
                self.log(f"set-default: {model} {version} is the default version")
                self._check(golden, archive)
                # Until both blocks are left: after load() nothing is undone any more.
                held.enter_context(delay_signals(at_once=3))
                load()
            self._leave(model, old.version, version)
            if cut_short and cut_short.old not in (version, old.version):
                self._leave(model, cut_short.old, version)

    def plan(self, model: str, version: str, *, sample: Sample | None = None, allow_classes: bool = False) -> None:
        """Check the archive and log the steps of :meth:`switch` without changing anything.

        Raises:
            RefusedError: the archive is damaged, or has other classes and ``allow_classes`` is False.
            ClientError: the archive or the model does not exist.
        """
        archive, old = self.store.version(model, version), self._default(model)
        golden = self._verified(archive)
        if old.version == version:
            self.log(f"{model} {version} is already the default version")
            self.log("would ask for its golden products, and finish the switch to it if that was cut short")
            return
        self._compare_classes(archive, old, allowed=allow_classes)
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
        cut_short = self.store.switches.unfinished(model, now)
        before = version or self.store.switches.version_before(model, now)
        if version is None and cut_short and cut_short.begun == "rollback":
            before = now
        if before is None:
            raise ClientError(
                f"no switch to {model} {now} is on record; "
                f"name the version: `python -m client rollback {model} VERSION`"
            )
        self.switch(model, before, command="rollback", allow_classes=True)
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
        drain(self.management, model, version, grace=self.drain_grace)
        self.management.unregister(model, version)
        self.log(f"retire: {model} {version} is unregistered; its archive stays in {self.store.folder}")
        self._end_of_switch(model, version)

    def _finish(self, archive: Archive) -> None:
        """Finish a switch that was killed after set-default; if none was, only check the answers."""
        model, version = archive.model, archive.version
        self.log(f"{model} {version} is already the default version")
        cut_short, loaded = self.store.switches.unfinished(model, version), self.store.default_version(model)
        with ExitStack() as held, ExitStack() as stack:
            if cut_short and (old := self.management.find(model, cut_short.old)):
                stack.enter_context(self._undone_on_failure(archive, old))
            load = stack.enter_context(self.store.next_default(archive))
            self._check(self._verified(archive), archive)
            held.enter_context(delay_signals(at_once=3))
            load()
        if loaded != version:
            self.log(f"{model}.mar is {version} now: an earlier switch to it was cut short")
        if cut_short is None and loaded not in (None, version):
            cut_short = Switch(model, str(loaded), version, begun="switch")
            self.store.switches.add(cut_short)
        if cut_short:
            self._leave(model, cut_short.old, version)

    def _leave(self, model: str, old: str, new: str) -> None:
        """Take out the version that was the default, at the end of a switch."""
        try:
            if self.management.find(model, old) is None:
                self._end_of_switch(model, old)
            else:
                self.retire(model, old)
        except KeyboardInterrupt:
            self.log(f"{model} {new} is the default version; {old} stays registered until you repeat the command")
            raise

    def _end_of_switch(self, model: str, old: str, *, undone: bool = False) -> None:
        try:
            self.store.switches.end(model, old=old, undone=undone)
        except StorageError as error:  # the first line of the switch is enough for a rollback
            self.log(f"warning: the end of the switch is not on record: {error}")

    def _verified(self, archive: Archive) -> GoldenSet:
        """Check an archive's files and return its golden products."""
        try:
            count = check_files(archive.path)
        except ClientError as error:
            raise RefusedError(str(error)) from error
        self.log(f"archive: {count} files of {archive.path.name} match their checksums")
        return read_golden(archive.path)

    def _compare_classes(self, archive: Archive, old: ModelVersion, *, allowed: bool) -> None:
        """Say which classes come and go; refuse a version with other classes."""
        try:
            before = self.store.version(archive.model, old.version)
        except ClientError as error:
            self.log(f"classes: not compared, {error}")
            return
        if not (changes := archive_class_changes(before, archive)):
            return
        for change in changes:
            self.log(change)
        if not allowed:
            raise RefusedError(
                f"it has other classes than {old.version} ({'; '.join(changes)}): whoever reads its answers has to "
                "know them; --allow-classes switches all the same"
            )

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

    def _load(self, archive: Archive, workers: int) -> None:
        bring_up(self.management, archive, workers=workers, drain_grace=self.drain_grace, log=self.log)

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
            with delay_signals(at_once=3):
                outcome = self._undo(archive, old)
                if old is not None:
                    self._end_of_switch(archive.model, old.version, undone=True)
            if not isinstance(error, ClientError | StorageError):
                self.log(f"undone: {outcome}")
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
                drain(self.management, archive.model, archive.version, grace=self.drain_grace)
            if self.management.find(archive.model, archive.version) is not None:
                self.management.unregister(archive.model, archive.version)
        except ClientError as error:
            return f"It could not be unregistered ({error}): check with `python -m client versions {archive.model}`"
        return "It is not registered" if old is None else f"{archive.model} {old.version} is still the default version"
