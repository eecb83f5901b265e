"""The server engine: sends requests over many connections, but never more than the server's queue has room for.

If the server is busy (503), restarts or loses a worker, the request is sent again after a random, growing wait. If a
request fails repeatedly, its products are sent one by one: only the product that breaks the server gets an error.
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
from client.scoring.answers import RowAnswer, RowBatch, answer_rows
from client.scoring.engines import ordered_map, write_parts
from client.scoring.workspace import Workspace
from client.server.config import ServerConfig
from handlers.product_serving.errors import ERROR_CODES
from training.catalog import CatalogFiles

# Two full batches of 16 requests: while the server answers one, the next one waits.
CONNECTIONS = 32
# httpx keeps 20 idle connections of a client open; opening one takes 35 ms.
CONNECTIONS_PER_CLIENT = 16
PRODUCTS_PER_REQUEST = 8
TIMEOUT = 120.0
PATIENCE = 300.0
ATTEMPTS = 4
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0


class ServerEngine:
    """A version of a model on a running server.

    Args:
        connect: creates a client of the inference API.
        model: registered name.
        version: exact version, so that a switch during the run does not change the model.
        archive: identifies the version's archive, for example by its checksum.
        top_k: number of classes to list; None takes the model's default.
        connections: most concurrent requests.
        patience: seconds; after so long without any answer the run fails, and after so long without its own answer a
            request counts as failed.
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
        """See :class:`client.scoring.engines.ScoringEngine`."""
        free: queue.SimpleQueue[ProductClient] = queue.SimpleQueue()

        def ask(batch: RowBatch) -> list[RowAnswer]:
            client = free.get()
            try:
                return answer_rows(batch.rows, files, lambda products: self._ask(client, products))
            finally:
                free.put(client)

        self._answered = time.monotonic()
        self._stopped.clear()
        with ExitStack() as stack:
            for number in range(self._connections):
                if number % CONNECTIONS_PER_CLIENT == 0:
                    client = stack.enter_context(self._connect())
                free.put(client)
            pool = ThreadPoolExecutor(self._connections, thread_name_prefix="connection")
            stack.callback(pool.shutdown, cancel_futures=True)
            stack.callback(self._stopped.set)
            batches = workspace.batches(chunks, size=PRODUCTS_PER_REQUEST)
            yield from write_parts(workspace, ordered_map(pool, ask, batches, ahead=2 * self._connections))

    def _ask(self, client: ProductClient, products: Sequence[Product]) -> list[Prediction | ServerError]:
        """The answers to some products, with as many retries as it takes."""
        failures, began = 0, time.monotonic()
        for attempt in itertools.count():
            try:
                return self._ask_once(client, products)
            except (ServerDown, ServerTimeout) as error:
                fault = ServerError(504, "no_answer", str(error))
            except ServerError as error:
                if error.code < 500 and error.code != 413 and not isinstance(error, TokenError):
                    raise  # for example an unknown model: no other product would be answered either
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
        # 413 may concern the sum of all pictures in the request, so ask for such a product alone.
        return [
            self._ask(client, [product])[0] if isinstance(answer, ServerError) and answer.code == 413 else answer
            for product, answer in zip(products, answers, strict=True)
        ]

    def _ask_alone(self, client: ProductClient, product: Product) -> Prediction | ServerError:
        """The answer to one product, or the handler's error for it."""
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
        """Wait for a random time below a bound that doubles (Brooker 2015, Exponential Backoff And Jitter)."""
        if self._stopped.is_set() or time.monotonic() - self._answered > self._patience:
            raise ClientError(
                f"{fault}; the server has not answered for {self._patience:g} s. Answers so far are kept: "
                "run the same command to continue"
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
        config: addresses, and the queue's length if the server does not say it; half stays free for other clients.
        tokens: the server's tokens.
        model: registered name.
        version: exact version; None takes the default version at the start of the run.
        top_k: number of classes to list; None takes the model's default.
        connections: most concurrent requests; None takes :data:`CONNECTIONS`, or half of a shorter queue.

    Raises:
        ClientError: no server answers, the model is not registered or has no READY worker, or there are more
            connections than half of the queue.
    """
    with Management(config.management_url, tokens=tokens) as management:
        found = management.find(model, version)
        if found is None:
            there = ", ".join(management.models()) or "none"
            wanted = model if version is None else f"{model} {version}"
            raise ClientError(f"{wanted} is not registered; registered models: {there}")
        if not found.ready:
            raise ClientError(
                f"{model} {found.version} has no READY worker; `python -m client ready {model}` gives the reason"
            )
    queue = found.queue or config.job_queue_size
    room = max(1, queue // 2)
    if connections is not None and connections > room:
        raise ClientError(
            f"{connections} connections are too many: half of the queue of {queue} stays free for other clients; "
            f"at most {room} are left"
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
    """The checksum of the version's archive; its file name if the model store is on another machine."""
    try:
        return ModelStore(config.model_store).version(found.model, found.version).checksum()
    except ClientError:
        return found.archive
