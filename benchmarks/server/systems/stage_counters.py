"""The times of our handler's stages, read from its counters at TorchServe's metrics address."""

import re
import time
import urllib.request

_LINE = re.compile(r"^(product_stage_milliseconds_sum|product_batch_size_bucket)\{(.*)\} ([0-9.eE+-]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
REPORTED = 1.5
"""Seconds to wait until the handler has reported its counts; it reports once a second."""


def stage_milliseconds(metrics_url: str | None) -> dict[str, float]:
    """Read the milliseconds of each stage since the start, and the number of ``batches``; empty without an address."""
    if metrics_url is None:
        return {}
    time.sleep(REPORTED)
    with urllib.request.urlopen(metrics_url, timeout=10) as answer:
        return parse_stages(answer.read().decode("utf-8"))


def parse_stages(text: str) -> dict[str, float]:
    """Parse the metrics text of Prometheus for :func:`stage_milliseconds`."""
    found: dict[str, float] = {}
    for name, labels, value in _LINE.findall(text):
        values = dict(_LABEL.findall(labels))
        if name == "product_stage_milliseconds_sum":
            found[values["stage"]] = found.get(values["stage"], 0) + float(value)
        elif values["le"] == "+Inf":
            found["batches"] = found.get("batches", 0) + float(value)
    return found
