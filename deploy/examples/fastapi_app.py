"""FastAPI on uvicorn: ``python fastapi_app.py`` where ``product_model`` can be imported.

Neither makes batches, so a task answers together what came in during the last batch.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import product_model
import uvicorn
from fastapi import FastAPI, Request, Response

PORT, WORKERS = int(os.environ.get("PRODUCT_PORT", "8000")), int(os.environ.get("PRODUCT_WORKERS", "2"))
BATCH = int(os.environ.get("PRODUCT_BATCH", "16"))
Waiting = tuple[product_model.Request, asyncio.Future[product_model.Reply]]


async def answer_batches(queue: asyncio.Queue[Waiting]) -> None:
    """Answer waiting requests in a thread, so that the loop can read further ones."""
    model = product_model.load(workers=WORKERS)
    while True:
        batch = [await queue.get()]
        while len(batch) < BATCH and not queue.empty():
            batch.append(queue.get_nowait())
        replies = await asyncio.to_thread(model.respond, [request for request, _ in batch])
        for (_, answered), reply in zip(batch, replies, strict=True):
            if not answered.cancelled():
                answered.set_result(reply)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model; without it this process must not go on."""
    app.state.queue = asyncio.Queue()
    task = asyncio.create_task(answer_batches(app.state.queue))
    task.add_done_callback(lambda done: None if done.cancelled() else os._exit(1))
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Answer a product, or ``instances``, in any form that the HTTP API takes except multipart."""
    answered: asyncio.Future[product_model.Reply] = asyncio.get_running_loop().create_future()
    asked = product_model.Request(await request.body(), request.headers.get("content-type"))
    await app.state.queue.put((asked, answered))
    reply = await answered
    return Response(reply.body, reply.status, media_type="application/json")


if __name__ == "__main__":
    options = {"access_log": False, "log_level": "warning"}
    uvicorn.run("fastapi_app:app", workers=WORKERS, host="127.0.0.1", port=PORT, **options)
