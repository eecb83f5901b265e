"""The order of a fetch: read the addresses, get the pictures in threads, write the catalogue."""

import dataclasses
import shlex
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from handlers.product_serving.errors import ProductError
from training.catalog.files import LIMITS, CatalogError, RowError
from training.catalog.pictures.cells import is_address
from training.fetch.catalogue import ERRORS, FIRST, TABLE, AddressTable, write_catalogue
from training.fetch.download import Downloaded, Downloader, Limits, checked_suffix, parse_address
from training.fetch.errors import FetchError
from training.fetch.hosts import Hosts, Stopped
from training.fetch.network import CheckedNetwork, Deadline, open_client
from training.fetch.store import DETAILS, PictureStore
from training.system.progress import progress as shown_progress
from training.system.storage import locked

LOCK = ".fetch.lock"
GIB = 2**30
AHEAD = 4  # calls that wait for a thread, for each thread
MOST_REASONS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """What to fetch, where to, and within which limits.

    Args:
        catalogue: path of the catalogue.
        out: folder for the new one.
        image_column: column of the addresses.
        pictures: ``first`` or ``all`` of each cell.
        allow_private: fetch from addresses of private networks and of this machine too.
        workers: pictures at once.
        per_host: of them from one host.
        attempts: for each picture.
        first_wait: seconds before the second attempt.
        limits: of one picture.
        max_total: bytes of all pictures in the folder.
    """

    catalogue: str
    out: Path
    image_column: str = "image"
    pictures: str = FIRST
    allow_private: bool = False
    workers: int = 8
    per_host: int = 4
    attempts: int = 4
    first_wait: float = 0.5
    limits: Limits = dataclasses.field(default_factory=Limits)
    max_total: int = 20 * GIB


def fetch_catalogue(options: FetchOptions, *, log: Callable[[str], object] = print, progress: bool = True) -> Path:
    """Get the pictures of a catalogue, and write a catalogue that has them as files.

    An interrupted call goes on where it stopped; a repeated one tries what failed before.

    Returns:
        The path of the new table.

    Raises:
        CatalogError: the catalogue cannot be read or holds no address, or not one picture could be had.
        StorageError: another fetch uses the folder, or it cannot be written to.
    """
    with locked(options.out / LOCK, taken=f"another fetch is using {options.out}; wait until it has ended"):
        table = AddressTable(options.catalogue, image_column=options.image_column, pictures=options.pictures)
        if (options.out / TABLE).resolve() == Path(options.catalogue).resolve():
            raise CatalogError(f"--out {options.out} is the folder of the catalogue itself: choose another one")
        addresses = table.addresses()
        store = PictureStore(options.out)
        pending = [address for address in addresses if address not in store]
        before = len(addresses) - len(pending)
        had = f", {before:,} of them are here already" if before else ""
        log(f"fetching {len(addresses):,} pictures of {options.catalogue} into {options.out}{had}")
        failed = _Fetch(options, store).get(pending, progress=progress)
        copied = _Copies(table, store)
        path = write_catalogue(
            options.out,
            table,
            file_of=lambda each: store.name(each) if is_address(each) else copied.name(each),
            reason_of=lambda each: failed[each] if is_address(each) else copied.failed[each],
        )
    _report(options, addresses, failed, before, log)
    return path


def _report(
    options: FetchOptions,
    addresses: Sequence[str],
    failed: dict[str, tuple[str, str]],
    before: int,
    log: Callable[[str], object],
) -> None:
    counts = Counter(reason for reason, _ in failed.values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())
    here = len(addresses) - len(failed)
    log(
        f"{len(addresses):,} addresses = {here:,} pictures ({before:,} of them from before) + {len(failed):,} errors"
        + (f" ({reasons}); each with its row in {options.out / DETAILS / ERRORS}" if failed else "")
    )
    if not here:
        examples = list(failed.items())[:MOST_REASONS]
        lines = "".join(f"\n  {address[:100]}: {reason}: {detail}" for address, (reason, detail) in examples)
        raise CatalogError(f"not one of {len(addresses):,} pictures could be fetched:{lines}")
    if failed:
        log("a repeat of the command tries those again; rows without a picture are used by their titles")
    out = shlex.quote(str(options.out))
    column = "" if options.image_column == "image" else f" --image-column {shlex.quote(options.image_column)}"
    log(f"next: python -m training train --data {out}{column}")


class _Fetch:
    """Gets pictures in threads."""

    def __init__(self, options: FetchOptions, store: PictureStore) -> None:
        self._options = options
        self._store = store
        self._hosts = Hosts(per_host=options.per_host, attempts=options.attempts, first_wait=options.first_wait)
        self._full = threading.Event()

    def get(self, addresses: Sequence[str], *, progress: bool) -> dict[str, tuple[str, str]]:
        """Get and keep pictures; returns the reason and detail for each that could not be had."""
        deadline = Deadline()
        network = CheckedNetwork(deadline, allow_private=self._options.allow_private)
        failed: dict[str, tuple[str, str]] = {}
        with open_client(network, connections=self._options.workers) as client:
            downloader = Downloader(client, deadline, self._options.limits)
            pool = ThreadPoolExecutor(self._options.workers, thread_name_prefix="fetch")
            try:
                calls = self._submitted(pool, downloader, addresses)
                shown = shown_progress(
                    calls, total=len(addresses), description="fetching", unit="picture", leave=True, shown=progress
                )
                for address, call in shown:
                    if (error := call.result()) is not None:
                        failed[address] = (error.reason, error.detail)
            finally:
                self._hosts.stop()
                pool.shutdown(cancel_futures=True)
        return failed

    def _submitted(
        self, pool: ThreadPoolExecutor, downloader: Downloader, addresses: Sequence[str]
    ) -> Iterable[tuple[str, "Future[FetchError | None]"]]:
        """Calls that have ended; only some are waiting at once, so a long list takes no memory for all."""
        waiting: dict[Future[FetchError | None], str] = {}
        for address in addresses:
            waiting[pool.submit(self._one, downloader, address)] = address
            if len(waiting) >= AHEAD * self._options.workers:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                yield from ((waiting.pop(call), call) for call in done)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            yield from ((waiting.pop(call), call) for call in done)

    def _one(self, downloader: Downloader, address: str) -> FetchError | None:
        try:
            if self._store.size >= self._options.max_total:
                limit = f"the pictures take {self._options.max_total / GIB:,.1f} GiB, all that --max-total-gib allows"
                raise FetchError("total_limit", limit)
            host = parse_address(address).host
            self._store.keep(address, self._hosts.call(host, lambda: downloader.get(address)))
        except FetchError as error:
            return error
        except Stopped:
            return FetchError("stopped", "the fetch was stopped")
        return None


class _Copies:
    """Pictures beside the old table, which the new one needs beside itself."""

    def __init__(self, table: AddressTable, store: PictureStore) -> None:
        self._files = table.files
        self._store = store
        self.failed: dict[str, tuple[str, str]] = {}

    def name(self, name: str) -> str | None:
        """The copy's name; None if the picture cannot be read."""
        try:
            content = self._files.read(name)
            return self._store.keep(name, Downloaded(content, checked_suffix(content, LIMITS))).name
        except RowError as error:
            self.failed[name] = (error.reason, error.detail)
        except ProductError as error:
            self.failed[name] = (error.type, error.message)
        return None
