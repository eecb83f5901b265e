"""The engine in front of a running server: many connections, never more requests than the server's queue has room for.

A server that is busy (503), restarts or loses a worker is asked again, after a while that grows and differs between the
connections. A request that fails again and again is split, until the product that breaks the server stands alone.
"""

import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from client.api.errors import ClientError, ServerDown, ServerError, ServerTimeout, TokenError
from client.api.inference import Product, ProductClient
from client.api.management import Management, ModelVersion
from client.api.predictions import Prediction
from client.api.tokens import Tokens
from client.archives.model_store import ModelStore
from client.scoring.answers import Answer, Batch, answer_rows
from client.scoring.engines import ordered_map, score_batches
from client.scoring.workspace import Workspace
from client.server.config import ServerConfig
from handlers.product_serving.errors import ERROR_CODES
from training.catalog import CatalogFiles

# Two full batches of the archives' 16 requests: while one is answered, the next one waits.
CONNECTIONS = 32
# A client keeps 20 idle connections open; making one takes 35 ms.
SHARED = 16
PRODUCTS = 8
TIMEOUT = 120.0
PATIENCE = 300.0
ATTEMPTS = 4
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0


class ServerEngine:
    """A version of a model on a running server.

    Args:
        connect: makes a client of its inference API.
        model: registered name.
        version: to the letter; a switch in the middle of a run changes nothing.
        archive: what tells the version's archive from one that is built anew under the same name.
        top_k: classes listed in an answer; None takes the model's default.
        connections: requests under way at once, at most.
        patience: seconds without any answer after which it gives up, and after which a single request counts as failed.
    """

    def __init__(
        self,
        connect: Callable[[], ProductClient],
        *,
        model: str,
        version: str,
        archive: str,
        top_k: int | None = None,
        connections: int = CONNECTIONS,
        patience: float = PATIENCE,
    ) -> None:
        self.identity = {"model": model, "version": version, "archive": archive, "answered_by": "a server"}
        self.description = f"{model} {version} (a server, {connections} connections)"
        self._connect = connect
        self._model, self._version, self._top_k = model, version, top_k
        self._connections = connections
        self._patience = patience
        self._answered = time.monotonic()
        self._stopped = threading.Event()

    def score(self, workspace: Workspace, files: CatalogFiles, chunks: Sequence[int]) -> Iterator[int]:
        """See :class:`client.scoring.engines.Engine`."""
        return score_batches(workspace, self.answered(workspace.batches(chunks, size=PRODUCTS), files))

    def answered(self, batches: Iterator[Batch], files: CatalogFiles) -> Iterator[tuple[Batch, list[Answer]]]:
        """Batches with their answers, in order."""
        free: queue.SimpleQueue[ProductClient] = queue.SimpleQueue()

        def ask(batch: Batch) -> list[Answer]:
            client = free.get()
            try:
                return answer_rows(batch.rows, files, lambda products: self._ask(client, products))
            finally:
                free.put(client)

        self._answered = time.monotonic()
        self._stopped.clear()
        with ExitStack() as stack:
            for number in range(self._connections):
                if number % SHARED == 0:
                    client = stack.enter_context(self._connect())
                free.put(client)
            pool = ThreadPoolExecutor(self._connections, thread_name_prefix="connection")
            stack.callback(pool.shutdown, cancel_futures=True)
            stack.callback(self._stopped.set)
            yield from ordered_map(pool, ask, batches, ahead=2 * self._connections)

    def _ask(self, client: ProductClient, products: Sequence[Product]) -> list[Prediction | ServerError]:
        """The answers to some products, however often the server has to be asked."""
        failures, began = 0, time.monotonic()
        for attempt in itertools.count():
            try:
                return self._ask_once(client, products)
            except (ServerDown, ServerTimeout) as error:
                fault = ServerError(504, "no_answer", str(error))
            except ServerError as error:
                if error.code < 500 and error.code != 413 and not isinstance(error, TokenError):
                    raise  # the model is not there, say: no other product would be answered
                fault = error
            failures += fault.code not in (503, 504)
            exhausted = fault.code == 413 or failures >= ATTEMPTS or time.monotonic() - began > self._patience
            if exhausted and isinstance(fault, TokenError):
                raise fault
            if exhausted and len(products) > 1:
                return [answer for product in products for answer in self._ask(client, [product])]
            if exhausted:
                return [fault]
            self._wait(attempt, fault)
        raise AssertionError("counts without end")

    def _ask_once(self, client: ProductClient, products: Sequence[Product]) -> list[Prediction | ServerError]:
        if len(products) == 1:
            return [self._ask_alone(client, products[0])]
        answers = client.predict_many(products, top_k=self._top_k, model=self._model, version=self._version)
        self._answered = time.monotonic()
        # The pictures of a request have a limit together: what goes beyond it need not be too large alone.
        return [
            self._ask(client, [product])[0] if isinstance(answer, ServerError) and answer.code == 413 else answer
            for product, answer in zip(products, answers, strict=True)
        ]

    def _ask_alone(self, client: ProductClient, product: Product) -> Prediction | ServerError:
        """The answer to one product, which may be an error that our handler made of it."""
        answer: Prediction | ServerError
        try:
            answer = client.predict(*product, top_k=self._top_k, model=self._model, version=self._version)
        except ServerError as error:
            if error.type not in ERROR_CODES:
                raise
            answer = error
        self._answered = time.monotonic()
        return answer

    def _wait(self, attempt: int, fault: ServerError) -> None:
        """Full jitter (Brooker 2015, Exponential Backoff And Jitter): any wait up to a bound that doubles."""
        if self._stopped.is_set() or time.monotonic() - self._answered > self._patience:
            raise ClientError(
                f"{fault}; nothing was answered for {self._patience:g} s. What was answered before is kept: "
                "the same command goes on with the rest"
            )
        self._stopped.wait(random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempt, 10))))


def server_engine(
    config: ServerConfig,
    tokens: Tokens,
    *,
    model: str,
    version: str | None = None,
    top_k: int | None = None,
    connections: int | None = None,
) -> ServerEngine:
    """The engine of a configured server.

    Args:
        config: addresses, and the length of the queue, of which half is left to others.
        tokens: of the server.
        model: registered name.
        version: to the letter; None takes the default when the run begins.
        top_k: classes listed in an answer.
        connections: requests under way at once; None takes ``CONNECTIONS`` where the queue has room for them.

    Raises:
        ClientError: no server, no such model, no worker READY, or more connections than the queue holds.
    """
    room = max(1, config.job_queue_size // 2)
    if connections is not None and connections > room:
        raise ClientError(
            f"{connections} connections may fill the server's queue of {config.job_queue_size}, half of which is left "
            f"to others: at most {room}, or a larger job_queue_size in {config.path.name}"
        )
    with Management(config.management_url, tokens=tokens) as management:
        found = management.find(model, version)
        if found is None:
            there = ", ".join(management.models()) or "none"
            wanted = model if version is None else f"{model} {version}"
            raise ClientError(f"{wanted} is not registered; registered models: {there}")
        if not found.ready:
            raise ClientError(
                f"{model} {found.version} has no worker READY; `python -m client ready {model}` says more"
            )
    return ServerEngine(
        lambda: ProductClient(config.inference_url, tokens=tokens, timeout=TIMEOUT),
        model=model,
        version=found.version,
        archive=_archive(config, found),
        top_k=top_k,
        connections=connections or min(CONNECTIONS, room),
    )


def _archive(config: ServerConfig, found: ModelVersion) -> str:
    """The checksum of a version's archive in the model store; of a server elsewhere, what it was registered from."""
    try:
        return ModelStore(config.model_store).version(found.model, found.version).checksum()
    except ClientError:
        return found.archive
