"""Checks that a model is served: workers are READY, golden products have the expected answers, large requests pass.

TorchServe's ``/ping`` reports "Healthy" even while every worker crashes.
"""

from pathlib import Path

from client.api.errors import ClientError, ServerDown, ServerError, ServerTimeout
from client.api.inference import MAX_BODY, ProductClient
from client.api.log import Log
from client.api.management import Management
from client.archives.golden_products import check_golden_answers, read_golden
from client.archives.model_store import ModelStore, missing_files, unpack_missing
from client.server.processes import worker_folders


def restore_files(home: Path, management: Management, store: ModelStore, *, log: Log = print) -> None:
    """Put back what was deleted of the running workers' files: a worker that ends could not come back without them.

    Args:
        home: folder in which the server runs, on this machine.
        management: client of the server's management API.
        store: store with the archives that the workers' files are from.
        log: gets a line for each folder that lacked files.

    Raises:
        ClientError: files cannot be put back.
    """
    folders = worker_folders(home)
    lacking = {process: missing for process, folder in folders.items() if (missing := missing_files(folder))}
    versions = [version for model in management.models() for version in management.versions(model)] if lacking else []
    archives = {process: version for version in versions for process in version.processes}
    for process, missing in lacking.items():
        folder, version = folders[process], archives.get(process)
        if version is None:
            raise ClientError(
                f"{folder} has lost {missing[0]}, and its worker ends; restart the server: `make stop serve`"
            )
        archive = store.version(version.model, version.version)
        if unpack_missing(archive.path, folder):
            log(f"{folder} had lost {missing[0]}: unpacked again. Something deletes the server's temporary files")


def check_ready(client: ProductClient, management: Management, store: ModelStore, *, model: str) -> str:
    """Check the default version of a model.

    Args:
        client: client of the inference API.
        management: client of the management API.
        store: store with the archive and its golden products.
        model: registered name.

    Returns:
        One line for the user: version, workers and golden products.

    Raises:
        ClientError: the model is not ready; the message gives the reason.
    """
    found = management.find(model)
    if found is None:
        there = ", ".join(management.models()) or "none"
        raise ClientError(f"{model} is not registered; registered models: {there}")
    if not found.ready:
        raise ClientError(
            f"{model} {found.version}: {found.workers.count('READY')} of {found.min_workers} workers are READY "
            f"({', '.join(found.workers) or 'no worker'}); logs/model_log.log gives the reason"
        )
    golden = read_golden(store.version(model, found.version).path)
    if faults := check_golden_answers(client, golden, model=model, version=found.version):
        raise ClientError(f"{model} {found.version} gives other answers than when it was verified: {faults[0]}")
    _check_memory(client, model=model, version=found.version)
    return f"{model} {found.version}: {len(found.workers)} READY, {len(golden.products)} golden products as expected"


def _check_memory(client: ProductClient, *, model: str, version: str) -> None:
    """Send bytes that are no picture, of nearly the largest size: the handler refuses them if they come through.

    Raises:
        ServerError: the queue is full.
        ClientError: the front end is out of memory.
    """
    try:
        client.predict(bytes(MAX_BODY), model=model, version=version)
    except (ServerDown, ServerError, ServerTimeout) as error:
        kind, code = (error.type, error.code) if isinstance(error, ServerError) else ("", 0)
        if kind.islower() or code == 413:  # the handler's own, not a Java class; or above a smaller max_request_size
            return
        if code == 503:
            raise
        raise ClientError(
            f"{model} {version} answers small requests, but none of {MAX_BODY:,} bytes ({error}): the front end is out "
            "of memory. If it stays so, restart the server (`make stop`, `make serve`); a larger -Xmx in vmargs of "
            "config.properties gives it more"
        ) from error
