"""Every query of the dashboard, asked of a real Prometheus that reads a running server with our configuration."""

import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks.server.systems.torchserve_config import ROOT, free_ports
from client.api.errors import ClientError
from client.api.inference import Product, ProductClient
from client.archives.golden_products import attribute_labels
from client.drift.counters import counted_version, counter_counts
from client.drift.metrics_text import read_metrics
from client.drift.prometheus import read_growth
from client.server.config import ServerConfig

PROMETHEUS = shutil.which("prometheus")
CONFIG, METRICS = ROOT / "deploy" / "prometheus.yml", ROOT / "deploy" / "metrics.yaml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {f"{panel['title']} {query['refId']}": query["expr"] for panel in PANELS for query in panel["targets"]}
VARIABLES = {"$__rate_interval": "1m", "$model": ".+"}
TITLE = "Marlow Men Navy Classic Running Shoes"
PATIENCE = 60.0

needs_prometheus = pytest.mark.skipif(PROMETHEUS is None, reason="needs Prometheus: apt install prometheus")


@pytest.fixture(scope="module")
def prometheus(config: ServerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Its API, while it reads the server every second."""
    assert PROMETHEUS is not None
    folder, [port] = tmp_path_factory.mktemp("prometheus"), free_ports(1)
    text = CONFIG.read_text(encoding="utf-8")
    for pattern, value in (("15s", "1s"), ("10s", "1s"), ("127.0.0.1:8082", f"127.0.0.1:{config.ports[2]}")):
        assert pattern in text
        text = text.replace(pattern, value)
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    command = [
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "console.log").open("wb") as console:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False) as api:
            wait_until_it_reads(api, process, folder / "console.log")
            yield api
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def wait_until_it_reads(api: httpx.Client, process: "subprocess.Popen[bytes]", console: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, console.read_text()
        with suppress(httpx.HTTPError):
            if [value for _, value in ask(api, 'sum_over_time(up{job="torchserve"}[1m])')] >= [2]:
                return
        time.sleep(0.2)
    raise AssertionError("Prometheus does not read the metrics address")


def ask(api: httpx.Client, query: str) -> list[tuple[dict[str, str], float]]:
    """Series with their values now."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    response = api.get("/query", params={"query": query})
    assert not response.is_client_error, f"{query}: {response.text}"
    answer: dict[str, Any] = response.raise_for_status().json()  # 503 while Prometheus starts
    return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]


@pytest.fixture(scope="module")
def asked(config: ServerConfig, prometheus: httpx.Client) -> None:
    """Good, bad and doubtful products, and what only the front end answers, twice with a scrape between.

    TorchServe's own counters begin with their first event: asked only once, they would show no increase.
    """
    headers = {**config.tokens().headers("inference"), "Content-Type": "multipart/form-data; boundary=x"}
    nameless = b"--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n"
    url = f"{config.inference_url}/predictions/intermediate"
    for _ in range(2):
        with ProductClient(config.inference_url, tokens=config.tokens()) as client:
            for number in range(10):
                client.predict_many([Product(text=f"{TITLE} {number}"), Product(b"no picture")])
            client.explain(text=TITLE)
            with pytest.raises(ClientError):
                client.predict(b"no picture")
        assert httpx.post(url, content=nameless, headers=headers).is_error
        time.sleep(4)  # a report a second, and a scrape a second


@needs_prometheus
@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("name", QUERIES)
def test_every_query_returns_a_series(prometheus: httpx.Client, name: str) -> None:
    found = ask(prometheus, QUERIES[name])
    assert found, "no series"
    assert any(math.isfinite(value) for _, value in found), found


@needs_prometheus
@pytest.mark.usefixtures("asked")
def test_the_numbers_are_those_of_what_was_asked(prometheus: httpx.Client) -> None:
    items = 'sum by (code) (product_items_total{model_name="intermediate", api="predictions"})'
    counts = {labels["code"]: value for labels, value in ask(prometheus, items)}
    assert counts["200"] >= 20 and counts["415"] >= 21 and counts["507"] == 0
    [(_, errors)] = ask(prometheus, QUERIES["Share of errors A"])
    [(_, doubtful)] = ask(prometheus, QUERIES["Share of needs_review A"])
    assert 0 < errors < 1 and 0 <= doubtful <= 1.1  # rates are extrapolated to the window's ends
    modalities = {labels["modality"]: value for labels, value in ask(prometheus, QUERIES["Products by modality A"])}
    assert modalities["text"] > 0


@needs_prometheus
@pytest.mark.usefixtures("asked")
def test_the_first_error_of_a_kind_is_an_increase(prometheus: httpx.Client) -> None:
    """Counters start at 0 with the worker; one that appeared with its first event would show none."""
    first = 'sum(increase(product_items_total{api="predictions", code="415"}[5m]))'
    [(_, grown)] = ask(prometheus, first)
    assert grown >= 1


@needs_prometheus
@pytest.mark.usefixtures("asked")
def test_drift_counts_the_same_at_the_server_and_in_prometheus(config: ServerConfig, prometheus: httpx.Client) -> None:
    """Counters as TorchServe and Prometheus write them, not as a test would."""
    address = str(prometheus.base_url).removesuffix("/api/v1/")
    known = attribute_labels(config.model_store / "intermediate.mar")["label"]
    found = []
    for place, series in (
        (config.metrics_url, read_metrics(config.metrics_url)),
        (address, read_growth(address, model="intermediate", window="5m")),
    ):
        version = counted_version(series, model="intermediate", version=None, place=place)
        found.append(counter_counts(series, model="intermediate", version=version, known=known, place=place))
    here, there = found
    assert here.products == sum(here.labels.values()) == sum(here.scores or ()) >= 22
    assert here.modalities is not None and sum(here.modalities.values()) == here.products
    # Prometheus estimates the growth to the ends of the window.
    assert there.products == pytest.approx(here.products, rel=0.3) and there.unsure is not None
    # The golden products of the start were answered before Prometheus first looked.
    counted = [{label for label, count in each.labels.items() if count} for each in (there, here)]
    assert counted[0] and counted[0] <= counted[1]


def test_queries_use_what_is_declared() -> None:
    declared = yaml.safe_load(METRICS.read_text(encoding="utf-8"))
    names = {entry["name"] for group in declared.values() for kind in group.values() for entry in kind} | {"up"}
    words = re.compile(r"\b(up|product_\w+|ts_\w+|Requests\w+|Worker\w+|FrontEnd\w+|\w+Time)\b(?=[{\[ )]|$)")
    used = {word for query in QUERIES.values() for word in words.findall(re.sub(r"\{\{.*?}}", "", query))}
    assert len(used) > 10 and used <= names
    assert {name for name in names if name.startswith("product_")} <= used


def test_the_dashboard_is_whole() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] for panel in PANELS) and len(QUERIES) >= 15
    known = {*VARIABLES, *(f"${entry['name']}" for entry in DASHBOARD["templating"]["list"])}
    assert {match for query in QUERIES.values() for match in re.findall(r"\$\w+", query)} <= known
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
