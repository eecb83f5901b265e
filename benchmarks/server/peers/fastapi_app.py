"""FastAPI on uvicorn. Neither makes batches, so a task collects the requests that arrive during a batch."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.server.peers.archive_handler import HOST, ArchiveHandler, settings

Waiting = tuple[bytes, asyncio.Future[str]]


async def answer_batches(queue: asyncio.Queue[Waiting], handler: ArchiveHandler, cap: int) -> None:
    """Answer waiting requests, up to ``cap`` at once, in a thread, so that the loop can read further requests."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        while True:
            batch = [await queue.get()]
            while len(batch) < cap and not queue.empty():
                batch.append(queue.get_nowait())
            answers = await loop.run_in_executor(thread, handler, [body for body, _ in batch])
            for (_, answered), answer in zip(batch, answers, strict=True):
                if not answered.cancelled():
                    answered.set_result(answer)


def build() -> FastAPI:
    """Load the model and build the application."""
    archive, _, cap, workers = settings()
    handler = ArchiveHandler(archive, workers=workers)
    queue: asyncio.Queue[Waiting] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(answer_batches(queue, handler, cap))
        yield
        task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.post("/predict")  # type: ignore[untyped-decorator]
    async def predict(request: Request) -> Response:
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await queue.put((await request.body(), answered))
        return Response(await answered, media_type="application/json")

    return app


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.server.peers.fastapi_app:build",
        factory=True,
        workers=settings().workers,
        host=HOST,
        port=settings().port,
        access_log=False,
        log_level="warning",
    )
