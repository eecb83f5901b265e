"""The metrics after some requests, as Prometheus reads them."""

import re
import time
from collections.abc import Callable

import httpx
import pytest

from client.api.inference import Product, ProductClient
from client.server.config import ServerConfig
from handlers.product_serving.metrics import REPORT_SECONDS, dimension_value

TITLE = "Marlow Men Navy Classic Running Shoes"
SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')
PATIENCE = 60.0
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def scrape(config: ServerConfig) -> Callable[[], Samples]:
    """All samples: name and labels -> value, once our counters are at rest; they are reported once a second."""
    url = config.inference_url.rsplit(":", 1)[0] + f":{config.ports[2]}/metrics"

    def read() -> Samples:
        matches = map(SAMPLE.fullmatch, httpx.get(url).text.splitlines())
        return {(match[1], frozenset(LABEL.findall(match[2]))): float(match[3]) for match in matches if match}

    def settled() -> Samples:
        deadline = time.monotonic() + PATIENCE
        before, now = Samples(), read()
        while _ours(before) != _ours(now):
            assert time.monotonic() < deadline, "the counters do not come to rest"
            time.sleep(1.5 * REPORT_SECONDS)
            before, now = now, read()
        return now

    return settled


def _ours(samples: Samples) -> Samples:
    return {key: value for key, value in samples.items() if key[0].startswith("product_")}


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum over all samples of a counter that have these labels."""
    wanted = set(labels.items())
    return sum(value for (found, has), value in samples.items() if found == name and wanted <= has)


def test_requests_are_counted(client: ProductClient, scrape: Callable[[], Samples], picture: bytes) -> None:
    before = scrape()
    answer = client.predict(picture, TITLE)
    client.predict_many([Product(picture[:200], TITLE), Product(text=TITLE), Product(picture)])
    client.explain(text=TITLE)
    ours = {"model_name": "intermediate", "model_version": "1.0"}
    now = scrape()

    def grown(name: str, **labels: str) -> float:
        return total(now, name, **ours, **labels) - total(before, name, **ours, **labels)

    assert grown("product_items_total", api="explanations", code="200", modality="text") == 1
    predicted = {"api": "predictions", "backend": dimension_value(answer.model["backend"])}
    assert grown("product_items_total", **predicted, code="200", modality="both") == 1
    assert grown("product_items_total", **predicted, code="200", modality="text") == 1
    assert grown("product_items_total", **predicted, code="200", modality="image") == 1
    assert grown("product_items_total", **predicted, code="422", modality="none") == 1
    assert grown("product_labels_total", label=answer.label) >= 1 and grown("product_labels_total") == 4
    assert grown("product_batch_size_bucket", le="+Inf") == 3 and grown("product_batch_size_bucket", le="2") == 2
    for stage in ("read", "decode", "tokenise", "infer", "respond"):
        assert grown("product_stage_milliseconds_sum", stage=stage) > 0
        assert grown("product_stage_milliseconds_bucket", stage=stage, le="+Inf") == 3
    assert 0 <= grown("product_reviews_total") <= 4


def test_a_label_of_any_signs_is_counted(
    client: ProductClient, known_served: str, scrape: Callable[[], Samples]
) -> None:
    label = client.predict(text="bag", model=known_served).label
    assert label == "Küche: bags, large|small"
    assert total(scrape(), "product_labels_total", model_name=known_served, label="Küche_ bags_ large_small") >= 1


def test_torchserves_own_metrics_are_still_there(client: ProductClient, scrape: Callable[[], Samples]) -> None:
    client.predict(text=TITLE)
    names = {name for name, _ in scrape()}
    assert {"ts_inference_requests_total", "Requests2XX", "QueueTime", "PredictionTime", "FrontEndMemory"} <= names
