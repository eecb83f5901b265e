"""Hostile inputs over HTTP, alone and among good ones: each gets its code, no worker dies, no neighbour is harmed."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable

from hostile_http import EXPECTED, on_the_wire
from http_load import LOST, Load
from scale import Figures, count
from tqdm import tqdm

from benchmarks.server.load.connections import connect, encode, read_response
from client.archives.model_store import Archive
from client.server.config import ServerConfig

SEED = random.randrange(2**32)
# Cheap ones, so that a batch is about its neighbours and not about the megabytes of one.
BAD = ("truncated jpeg", "truncated png", "gif", "empty part", "one pixel", "no base64", "nothing", "top_k 'x'", "NaN")


def ask(url: str, requests: list[bytes]) -> list[tuple[int, bytes]]:
    """All at once, on a connection each."""

    async def one(request: bytes) -> tuple[int, bytes]:
        reader, writer = await connect(url)
        try:
            writer.write(request)
            async with asyncio.timeout(60):
                status, _, body = await read_response(reader)
        except (OSError, EOFError, ValueError) as error:
            return LOST, type(error).__name__.encode()
        finally:
            writer.transport.abort()  # what was refused by its header may not have gone out whole
        return status, body

    async def all_of_them() -> list[tuple[int, bytes]]:
        return await asyncio.gather(*map(one, requests))

    return asyncio.run(all_of_them())


def test_hostile_inputs(
    config: ServerConfig, archive: Archive, figures: Figures, processes: Callable[[], dict[int, bool]]
) -> None:
    chance = random.Random(SEED)
    names = list(EXPECTED)
    names += chance.choices(names, k=count(0, 5200 - len(names)))
    chance.shuffle(names)
    headers, before = config.tokens().headers("inference"), processes()
    wrong: Counter[str] = Counter()
    lost = handler_failures = 0
    for start in tqdm(range(0, len(names), 8), desc="hostile inputs", unit="eights", disable=None):
        group = names[start : start + 8]
        sent = [on_the_wire(name, path=f"/predictions/{archive.model}", headers=headers) for name in group]
        for name, (status, body) in zip(group, ask(config.inference_url, sent), strict=True):
            lost += status == LOST
            handler_failures += status >= 500 and status != EXPECTED[name]
            if status != EXPECTED[name]:
                wrong[f"{name}: {status} {body[:100]!r}, not {EXPECTED[name]}"] += 1
    what = f"{len(names)} hostile inputs of {len(EXPECTED)} classes (seed {SEED})"
    figures.require(what, "0 unexpected answers", f"{wrong.total()} {dict(wrong.most_common(8)) or ''}", not wrong)
    figures.require(what, "0 handler 5xx, 0 unanswered", f"{handler_failures}, {lost}", not handler_failures + lost)
    figures.require(what, "0 worker deaths", f"{len(before.keys() - processes())}", before == processes())


def test_good_products_among_bad_ones(
    config: ServerConfig, archive: Archive, requests: list[bytes], figures: Figures
) -> None:
    chance = random.Random(SEED)
    path, headers = f"/predictions/{archive.model}", config.tokens().headers("inference")
    alone = {request: json.loads(body) for request in requests for _, body in ask(config.inference_url, [request])}
    bad = {on_the_wire(name, path=path, headers=headers): name for name in BAD}
    worst, wrong, batches = 0.0, 0, count(20, 500)
    for number in tqdm(range(batches), desc="mixed batches", disable=None):
        some = 1 + number % 7
        group = chance.choices(list(bad), k=some) + chance.choices(requests, k=8 - some)
        chance.shuffle(group)
        for request, (status, body) in zip(group, ask(config.inference_url, group), strict=True):
            if request in bad:
                wrong += status != EXPECTED[bad[request]]
            elif status != 200:
                wrong += 1
            else:
                worst = max(worst, difference(json.loads(body), alone[request]))
    what = f"{batches} batches of 8 with 1-7 bad items (seed {SEED})"
    figures.require(
        what, "0 wrong codes; good answers within 1e-5", f"{wrong}; {worst:.1g}", not wrong and worst <= 1e-5
    )


def difference(answer: dict[str, object], expected: dict[str, object]) -> float:
    """The largest of the scores; infinite where a class differs."""
    scores = {entry["label"]: entry["score"] for entry in expected["top"]}  # type: ignore[attr-defined]
    found = {entry["label"]: entry["score"] for entry in answer["top"]}  # type: ignore[attr-defined]
    if answer["label"] != expected["label"] or scores.keys() != found.keys():
        return float("inf")
    return max(abs(scores[label] - found[label]) for label in scores)


def test_the_generator_sees_what_a_client_sees(load: Load, requests: list[bytes], config: ServerConfig) -> None:
    """What measures is measured too: good, refused and lost requests are told apart."""
    load.requests = [requests[0], encode("/predictions/none", headers=config.tokens().headers("inference"), body=b"x")]
    with load.callers(2):
        while len(load.answers) < 20:
            pass
    assert set(load.statuses()) == {200, 404}
    nowhere = Load("http://127.0.0.1:1", requests)
    with nowhere.callers(1):
        while not nowhere.answers:
            pass
    assert set(nowhere.statuses()) == {LOST}
