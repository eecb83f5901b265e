"""Count a worker's answers for Prometheus, which reads the counters at TorchServe's metrics address.

Each update is a line on the worker's output that the front end parses. So this module adds counts up and reports them
at most once a second, whatever the load. ``deploy/metrics.yaml`` declares the counters; without the declaration nothing
is counted.

A thread reports the front end's memory, also while no request comes through.

No dimension ever holds a caller's text: values are the model's labels, error codes and words of this file. The version
is a dimension because TorchServe's own metrics call it "default" if the request names no version.
"""

import contextlib
import itertools
import logging
import math
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .answer import REASONS
from .errors import ERROR_CODES, ProductError

logger = logging.getLogger(__name__)

# Counter -> its dimensions after model_name and model_version, in the order of deploy/metrics.yaml.
COUNTERS: dict[str, tuple[str, ...]] = {
    "product_items_total": ("backend", "api", "code", "modality"),
    "product_labels_total": ("label",),
    "product_score_bucket": ("le",),
    "product_reviews_total": (),
    "product_review_reasons_total": ("reason",),
    "product_cache_total": ("outcome",),
    "product_exits_total": ("outcome",),
    "product_exit_checks_total": ("outcome",),
    "product_batch_size_bucket": ("le",),
    "product_stage_milliseconds_bucket": ("stage", "le"),
    "product_stage_milliseconds_sum": ("stage",),
}
APIS = ("predictions", "explanations")
READ = ("image", "text", "both")
CACHED = ("hit", "miss")
EXITS = ("lexical", "text", "full")  # the last tower that was needed; full: no exit was taken
CHECKS = ("same", "different")
STAGES = ("read", "decode", "tokenise", "infer", "explain", "respond")
REPORT_SECONDS = 1.0
FRONT_END, FRONT_END_SECONDS = "FrontEndMemory", 10.0
EXITS_OPEN = "product_exits_open"
# Bounds of the scores; the answers of a good model lie close to 1.
SCORE_BOUNDS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, math.inf)
_PRODUCTS = (1, 2, 4, 8, 16, 32, 64, math.inf)
_MILLISECONDS = (2, 5, 10, 20, 50, 100, 200, 500, 1000, math.inf)
# Commas, colons, bars and brackets separate the fields of a metric's line; see Metric.java of TorchServe.
_SEPARATORS = re.compile(r"[,:|#\[\]\"\\]|[^\w\s!$-~]")
_MAX_VALUE_CHARS = 80


class ProductMetrics:
    """Counters of one worker.

    Args:
        cache: TorchServe's metrics cache, from the context; None counts nothing.
        model: name, version and engine (as ``backend``).
        labels: class names.
        interval: shortest time between two reports, in seconds.
    """

    def __init__(
        self, cache: Any, *, model: Mapping[str, str], labels: Sequence[str], interval: float = REPORT_SECONDS
    ) -> None:
        self._counters = _declared(cache)
        self._model = [dimension_value(model["name"]), dimension_value(model["version"])]
        self._engine = dimension_value(model["backend"])
        self._labels = label_values(labels)
        self._interval = interval
        self._lock = threading.Lock()
        self._spent: dict[str, float] = defaultdict(float)
        self._counts: dict[tuple[str, ...], float] = defaultdict(float)
        self._timer: threading.Timer | None = None

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add a block's duration to one of ``STAGES`` of this batch; times of several threads add up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._spent[stage] += 1000 * (time.perf_counter() - start)

    def announce(self) -> None:
        """Report every series as 0, which Prometheus needs to see the first increase, and watch the front end."""
        if self._counters:
            arguments = (self._counters[FRONT_END], os.getppid())
            self._counters[EXITS_OPEN].add_or_update(1, self._model)
            threading.Thread(target=report_front_end, args=arguments, daemon=True).start()
            with self._lock:
                for key in self._series():
                    self._counts[key] += 0
            self.report()

    def record(self, answers: Sequence[Mapping[str, Any] | ProductError], explained: Sequence[bool]) -> None:
        """Count an answered batch.

        Args:
            answers: one for each product.
            explained: for each product, True if its request asked for explanations.
        """
        if not self._counters:
            return
        with self._lock:
            self._observe(len(answers), _PRODUCTS, "product_batch_size_bucket")
            for stage, spent in self._spent.items():
                self._observe(spent, _MILLISECONDS, "product_stage_milliseconds_bucket", stage)
                self._counts["product_stage_milliseconds_sum", stage] += spent
            self._spent.clear()
            for answer, asked in zip(answers, explained, strict=True):
                self._count(answer, "explanations" if asked else "predictions")
            if self._timer is None:  # one report covers all counts of the interval
                self._timer = threading.Timer(self._interval, self.report)
                self._timer.daemon = True
                self._timer.start()

    def count_cached(self, hits: int, misses: int) -> None:
        """Count products answered from the cache and products computed; :meth:`record` reports them."""
        if self._counters:
            with self._lock:
                for outcome, count in zip(CACHED, (hits, misses), strict=True):
                    self._counts["product_cache_total", outcome] += count

    def count_checks(self, same: int, different: int, is_open: bool) -> None:
        """Count early answers that were compared with full ones, and report whether the exits are open."""
        if self._counters:
            with self._lock:
                for outcome, count in zip(CHECKS, (same, different), strict=True):
                    self._counts["product_exit_checks_total", outcome] += count
            self._counters[EXITS_OPEN].add_or_update(int(is_open), self._model)

    def report(self) -> None:
        """Write one line for each count since the last report."""
        with self._lock:
            counts, self._counts, self._timer = self._counts, defaultdict(float), None
        for (name, *values), count in counts.items():
            self._counters[name].add_or_update(round(count, 3), [*self._model, *values])

    def _series(self) -> Iterator[tuple[str, ...]]:
        outcomes = [("200", read) for read in READ] + [(str(code), "none") for code in sorted({*ERROR_CODES.values()})]
        for api, code_and_modality in itertools.product(APIS, outcomes):
            yield "product_items_total", self._engine, api, *code_and_modality
        for label in self._labels.values():
            yield "product_labels_total", label
        for bound in SCORE_BOUNDS:
            yield "product_score_bucket", bound_value(bound)
        yield ("product_reviews_total",)
        for reason in REASONS:
            yield "product_review_reasons_total", reason
        for name, outcomes_of in (("product_exits_total", EXITS), ("product_exit_checks_total", CHECKS)):
            for outcome in outcomes_of:
                yield name, outcome
        for outcome in CACHED:
            yield "product_cache_total", outcome
        for bound in _PRODUCTS:
            yield "product_batch_size_bucket", bound_value(bound)
        for stage in STAGES:
            yield "product_stage_milliseconds_sum", stage
            for bound in _MILLISECONDS:
                yield "product_stage_milliseconds_bucket", stage, bound_value(bound)

    def _count(self, answer: Mapping[str, Any] | ProductError, api: str) -> None:
        if isinstance(answer, ProductError):
            self._counts["product_items_total", self._engine, api, str(answer.code), "none"] += 1
            return
        read = answer["modalities"]
        self._counts["product_items_total", self._engine, api, "200", read[0] if len(read) == 1 else "both"] += 1
        self._counts["product_labels_total", self._labels[answer["label"]]] += 1
        self._observe(answer["score"], SCORE_BOUNDS, "product_score_bucket")
        if answer["needs_review"]:
            self._counts[("product_reviews_total",)] += 1
        for reason in answer["review"]:
            self._counts["product_review_reasons_total", reason] += 1
        if "computed" in answer:
            self._counts["product_exits_total", answer["computed"][-1] if answer["early"] else "full"] += 1

    def _observe(self, value: float, bounds: Sequence[float], *key: str) -> None:
        """Count a value in every bucket whose bound it does not exceed, as Prometheus' histograms do."""
        for bound in bounds:
            if value <= bound:
                self._counts[*key, bound_value(bound)] += 1


def bound_value(bound: float) -> str:
    """The bound of a bucket as a dimension value."""
    return "+Inf" if bound == math.inf else str(bound)


def dimension_value(text: str) -> str:
    """Make a text safe for a metric's line: visible characters, no separators, not empty, not too long."""
    return " ".join(_SEPARATORS.sub("_", text).split())[:_MAX_VALUE_CHARS] or "_"


def label_values(labels: Sequence[str]) -> dict[str, str]:
    """Dimension value of each class; a number keeps equal values apart."""
    values: dict[str, str] = {}
    for number, label in enumerate(labels):
        value = dimension_value(label)
        values[label] = f"{value} ({number})" if value in values.values() else value
    return values


def report_front_end(gauge: Any, process: int, *, seconds: float = FRONT_END_SECONDS) -> None:
    """Report the resident memory of the front end, the worker's parent, until it ends; nothing where Linux is not."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        while True:
            pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
            gauge.add_or_update(round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20), ["Host"])
            time.sleep(seconds)


def _declared(cache: Any) -> dict[str, Any]:
    """TorchServe's counters and gauges by name; empty if one of them is not declared."""
    if cache is None:
        return {}
    try:
        counters = {name: cache.get_metric(name) for name in COUNTERS}
        kinds = type(counters["product_items_total"].metric_type)
        return {**counters, **{name: cache.get_metric(name, kinds.GAUGE) for name in (FRONT_END, EXITS_OPEN)}}
    except Exception as error:  # a server with another metrics.yaml must still serve
        logger.warning("no metrics: %s; set metrics_config to this project's deploy/metrics.yaml", type(error).__name__)
        return {}
