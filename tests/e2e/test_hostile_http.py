"""The handler's list of hostile requests over HTTP, once each, and what only a sick model brings about.

``make test-faults`` sends thousands of them, the megabytes too.
"""

import base64
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import known_model as known
import pytest
from hostile import HOSTILE
from hostile_http import EXPECTED, on_the_wire
from live_server import first_answer, repack
from pictures import turned

from client.api.management import Management
from client.archives.model_store import ModelStore
from client.server.config import ServerConfig

LONGEST = 100_000
SCORES = "product_serving/scores.py"
# The tokenizer adds two: titles of five words exhaust the memory, of six make the model's answer NaN.
TOO_MUCH, NO_NUMBER = "red red red red red", "red red red red red red"
SICK = b"""

_healthy = _scored_batch


def _scored_batch(engine, products, settings):
    lengths = [len(product.input_ids) for product in products]
    if 7 in lengths:
        raise MemoryError("5 GB")
    scores, agreement = _healthy(engine, products, settings)
    scores[[length == 8 for length in lengths]] = np.nan
    return scores, agreement
"""


def test_every_hostile_request_gets_its_code(config: ServerConfig) -> None:
    """Eight at once, so that they share batches."""
    headers = config.tokens().headers("inference")
    sent = {name: on_the_wire(name, path="/predictions/intermediate", headers=headers) for name in EXPECTED}
    short = {name: request for name, request in sent.items() if len(request) <= LONGEST}
    assert len(short) > 120
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda request: first_answer(config.inference_url, request), short.values())
        found = dict(zip(short, answers, strict=True))
    wrong = {name: answer for name, answer in found.items() if answer[0] != EXPECTED[name]}
    assert not wrong
    kinds = {name: body.get("type") for name, (status, body) in found.items() if status >= 400 and name in HOSTILE}
    assert not {name: kind for name, kind in kinds.items() if kind != HOSTILE[name][1] and EXPECTED[name] != 500}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_all_orientations_have_the_same_answer(http: httpx.Client, kind: str) -> None:
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    pictures = [base64.b64encode(turned(orientation, kind, **options)).decode() for orientation in range(1, 9)]
    answers = http.post("/predictions/intermediate", json={"instances": [{"image": each} for each in pictures]}).json()
    assert len({answer["label"] for answer in answers["predictions"]}) == 1
    scores = [answer["score"] for answer in answers["predictions"]]
    assert max(scores) - min(scores) <= (1e-5 if kind == "PNG" else 0.02)


@pytest.fixture(scope="module")
def sick(config: ServerConfig, known_archive: Path, store: ModelStore) -> Iterator[str]:
    """The path of a model that breaks on some titles, while it is registered."""
    healthy, path = store.folder / "healthy.mar", store.folder / "sick.mar"
    shutil.copy(known_archive, healthy)
    source = (Path(__file__).parents[2] / "handlers" / SCORES).read_bytes()
    repack(healthy, path, version="0.9", changes={SCORES: source + SICK}, sealed=True)
    healthy.unlink()
    with Management(config.management_url, tokens=config.tokens()) as management:
        management.register(path.name)
        management.wait_ready("known", "0.9")
        yield "/predictions/known/0.9"
        management.unregister("known", "0.9")
    path.unlink()


@pytest.mark.parametrize(
    ("title", "status", "kind"), [(TOO_MUCH, 507, "out_of_memory"), (NO_NUMBER, 500, "model_output_invalid")]
)
def test_what_breaks_the_model_fails_alone(http: httpx.Client, sick: str, title: str, status: int, kind: str) -> None:
    alone = http.post(sick, json={"text": title})
    assert (alone.status_code, alone.json()["type"]) == (status, kind)
    good = [{"text": "red shoe"}, {"text": "bag"}, {"image": base64.b64encode(known.picture(known.RED)).decode()}]
    expected = [http.post(sick, json=product).json() for product in good]
    answers = http.post(sick, json={"instances": [*good[:2], {"text": title}, good[2]]}).json()["predictions"]
    assert (answers[2]["code"], answers[2]["type"]) == (status, kind)
    for answer, solo in zip([*answers[:2], answers[3]], expected, strict=True):
        assert answer["label"] == solo["label"] and abs(answer["score"] - solo["score"]) <= 1e-5
