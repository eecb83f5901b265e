"""Counters: the counts of a batch, the content of a line, and the number of lines."""

import logging
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pictures import draw, encode
from serving import LABELS, METRICS, TITLES, Worker, document, explained, form, metrics_cache

from handlers.product_serving.errors import ProductError
from handlers.product_serving.metrics import COUNTERS, STAGES, ProductMetrics, dimension_value, report_front_end

PICTURE = encode(draw())
MODEL = {"name": "tiny", "version": "1.0", "backend": "onnx"}
# As the front end reads a line (Metric.java and WorkerLifeCycle.java of TorchServe 0.12).
LINE = re.compile(
    r"\[METRICS]\s*([\w\s]+)\.([\w\s]+):([0-9\-,.e]+)\|#([^|]*)(\|#type:([^|,]+))?\|#hostname:([^,]+),([^,]+)(,(.*))?"
)
Lines = dict[tuple[str, ...], float]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], Lines]:
    """The lines since the last call, as the front end parses them: (counter, dimensions...) -> value."""
    caplog.set_level(logging.INFO, logger="ts.metrics")

    def read() -> Lines:
        found: Lines = {}
        for record in caplog.records:
            match = LINE.fullmatch(record.getMessage())
            if match and match[1] in COUNTERS:
                pairs = [pair.split(":") for pair in match[4].split(",")]
                assert all(len(pair) == 2 and all(pair) for pair in pairs), record.getMessage()
                assert [name for name, _ in pairs] == ["model_name", "model_version", *COUNTERS[match[1]]]
                key = (match[1], *(value for _, value in pairs[2:]))
                assert key not in found, "one line is enough"
                found[key] = float(match[3])
        caplog.clear()
        return found

    return read


@pytest.fixture
def quiet_worker(archive: Path) -> Worker:
    """A worker without requests; it reports only on demand."""
    return Worker(archive)


def test_every_counter_is_declared_with_its_dimensions() -> None:
    declared = {
        entry["name"]: entry["dimensions"] for entry in yaml.safe_load(METRICS.read_text())["model_metrics"]["counter"]
    }
    assert declared == {name: ["model_name", "model_version", *rest] for name, rest in COUNTERS.items()}


def test_a_batch_adds_up(quiet_worker: Worker, lines: Callable[[], Lines]) -> None:
    requests = [
        form(image=PICTURE, text=TITLES[0]),
        form(text=TITLES[1]),
        document({"instances": [{"text": TITLES[0]}, {"image": "!"}]}),
        form(image=PICTURE[:99]),
        explained(form(image=PICTURE)),
        explained(form()),
    ]
    answers = quiet_worker.ask(*requests)
    quiet_worker.handler.metrics.report()
    found = lines()
    items = {key[2:]: value for key, value in found.items() if key[0] == "product_items_total"}
    assert items == {
        ("predictions", "200", "both"): 1,
        ("predictions", "200", "text"): 2,
        ("predictions", "400", "none"): 1,
        ("predictions", "422", "none"): 1,
        ("explanations", "200", "image"): 1,
        ("explanations", "400", "none"): 1,
    }
    answered = [answer for each in answers for answer in each.json.get("predictions", [each.json]) if "label" in answer]
    labels = Counter(dimension_value(answer["label"]) for answer in answered)
    assert {key[1]: value for key, value in found.items() if key[0] == "product_labels_total"} == labels
    assert found.get(("product_reviews_total",), 0) == sum(answer["needs_review"] for answer in answered)
    assert ("product_batch_size_bucket", "4") not in found and found["product_batch_size_bucket", "8"] == found[
        "product_batch_size_bucket", "+Inf"
    ] == 1
    assert {key[1] for key in found if key[0] == "product_stage_milliseconds_sum"} == set(STAGES)
    for stage in STAGES:
        assert (
            found["product_stage_milliseconds_bucket", stage, "+Inf"] == 1
            and found["product_stage_milliseconds_sum", stage] >= 0
        )


def test_every_series_starts_at_zero(archive: Path, lines: Callable[[], Lines]) -> None:
    """Prometheus sees no increase without a start value, so it would miss the first error of a type."""
    worker = Worker(archive)
    announced = lines()
    assert set(announced.values()) == {0} and {key[0] for key in announced} == set(COUNTERS)
    worker.ask(form(image=PICTURE, text=TITLES[0]), form(text=TITLES[1]), form(), explained(form(image=PICTURE)))
    worker.handler.metrics.report()
    assert set(lines()) <= set(announced)


def test_cached_answers_are_counted(copy_archive: Callable[..., Path], lines: Callable[[], Lines]) -> None:
    worker = Worker(copy_archive(cache_mib=1, engine="onnx"))
    lines()
    request = form(image=PICTURE, text=TITLES[0])
    first = worker.ask(request, form(text=TITLES[1]))
    assert worker.ask(request, form(text=TITLES[2]))[0] == first[0]
    worker.handler.metrics.report()
    found = lines()
    assert (found["product_cache_total", "hit"], found["product_cache_total", "miss"]) == (1, 3)


def test_reports_are_few_and_hold_only_new_counts(quiet_worker: Worker, lines: Callable[[], Lines]) -> None:
    metrics = quiet_worker.handler.metrics
    for _ in range(20):
        quiet_worker.ask(form(text=TITLES[0]), form(text=TITLES[1]))
    metrics.report()
    found = lines()
    assert found["product_batch_size_bucket", "+Inf"] == 20 and len(found) < 80
    metrics.report()
    assert not lines()
    quiet_worker.ask(form(text=TITLES[0]))
    metrics.report()
    assert lines()["product_batch_size_bucket", "1"] == 1


def test_a_report_is_written_after_the_interval(lines: Callable[[], Lines]) -> None:
    metrics = ProductMetrics(metrics_cache(), model=MODEL, labels=LABELS, interval=0.3)
    for _ in range(3):
        metrics.record([ProductError("missing_field", "")], [False])
    deadline = time.monotonic() + 60
    found: Lines = {}
    while ("product_batch_size_bucket", "+Inf") not in found and time.monotonic() < deadline:
        time.sleep(0.02)
        found |= lines()
    assert found["product_batch_size_bucket", "+Inf"] == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Casual Shoes", "Casual Shoes"),
        ("T-Shirts & Tops (men's)", "T-Shirts & Tops (men's)"),
        ("Montres à gousset 靴", "Montres à gousset 靴"),
        ('a,b:c|d#e[PID]f"g\\h', "a_b_c_d_e_PID_f_g_h"),
        (" two\n lines\t", "two lines"),
        ("\x00\u202e👟", "___"),
        ("", "_"),
        ("x" * 500, "x" * 80),
    ],
)
def test_a_dimension_value_is_safe_in_a_line(text: str, value: str) -> None:
    assert dimension_value(text) == value


def test_labels_with_equal_values_are_counted_separately(lines: Callable[[], Lines]) -> None:
    labels = ("a,b", "a:b", "a_b", "c")
    metrics = ProductMetrics(metrics_cache(), model=MODEL, labels=labels, interval=3600)
    answers = [
        {"label": label, "score": 1.0, "modalities": ["text"], "needs_review": False, "review": []} for label in labels
    ]
    metrics.record(answers, [False] * 4)
    metrics.report()
    counted = {key[1]: value for key, value in lines().items() if key[0] == "product_labels_total"}
    assert len(counted) == 4 and set(counted.values()) == {1}


@pytest.mark.parametrize("undeclared", [None, object()])
def test_a_server_that_declares_nothing_still_serves(undeclared: Any, lines: Callable[[], Lines]) -> None:
    metrics = ProductMetrics(undeclared, model=MODEL, labels=LABELS, interval=0)
    with metrics.timed("infer"):
        metrics.record([ProductError("missing_field", "")], [False])
    metrics.report()
    assert not lines()


def test_counting_costs_little(lines: Callable[[], Lines]) -> None:
    """For a batch of 16: a tenth of a millisecond, compared with fifty for the model."""
    metrics = ProductMetrics(metrics_cache(), model=MODEL, labels=LABELS, interval=3600)
    answer = {"label": LABELS[0], "score": 0.97, "modalities": ["image", "text"]}
    answers = [{**answer, "needs_review": True, "review": ["unsure"]}] * 16

    def count() -> None:
        for stage in STAGES:
            with metrics.timed(stage):
                pass
        metrics.record(answers, [False] * 16)

    count()
    started = time.process_time()
    for _ in range(200):
        count()
    assert (time.process_time() - started) / 200 < 0.002


def test_the_front_ends_memory_is_reported_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[tuple[float, list[str]]] = []

    class Gauge:
        def add_or_update(self, value: float, dimensions: list[str]) -> None:
            reported.append((value, dimensions))

    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as front_end:
        assert front_end.stdout is not None and front_end.stdout.readline()

        def sleep(_: float) -> None:
            if len(reported) == 2:
                front_end.kill()
                front_end.wait()

        monkeypatch.setattr(time, "sleep", sleep)
        report_front_end(Gauge(), front_end.pid)
    assert len(reported) == 2
    assert all(1 <= value < 200 and dimensions == ["Host"] for value, dimensions in reported)
