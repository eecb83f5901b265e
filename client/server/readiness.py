"""Is a model really served? Its workers are READY, and it answers golden products as the archive says.

TorchServe's own ``/ping`` stays healthy while every worker crashes.
"""

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.golden_products import check_golden, read_golden
from client.archives.model_store import ModelStore


def check_ready(client: ProductClient, management: Management, store: ModelStore, *, model: str) -> str:
    """Check the default version of a model.

    Args:
        client: of the inference API.
        management: of the management API.
        store: holds the archive, with the golden products.
        model: registered name.

    Returns:
        A sentence that says what is ready.

    Raises:
        ClientError: it is not ready; the message says what is missing.
    """
    found = management.find(model)
    if found is None:
        there = ", ".join(management.models()) or "none"
        raise ClientError(f"{model} is not registered; registered are: {there}")
    if not found.ready:
        raise ClientError(
            f"{model} {found.version}: {found.workers.count('READY')} of {found.min_workers} workers are READY "
            f"({', '.join(found.workers) or 'no worker'}); logs/model_log.log says why"
        )
    golden = read_golden(store.version(model, found.version).path)
    if faults := check_golden(client, golden, model=model, version=found.version):
        raise ClientError(f"{model} {found.version} does not answer as it was verified: {faults[0]}")
    return f"{model} {found.version}: {len(found.workers)} READY, {len(golden.products)} golden products as expected"
