"""Reads from a Prometheus server how much the counters of a model have grown between two points in time."""

import json

from client.api.errors import ClientError
from client.api.proxies import http_client
from client.drift.counters import COUNTERS, Series
from client.drift.metrics_text import TIMEOUT, fetched

_BY = "model_name, model_version, code, modality, label, le, reason, outcome"


def read_growth(url: str, *, model: str, window: str, until: str | None = None) -> Series:
    """The growth of each counter in the time before a moment; Prometheus sees starts of the server.

    Args:
        url: address of the Prometheus server.
        window: length of the time, such as ``1d``.
        until: its end: seconds since 1970, or as ``2026-12-01T12:00:00Z``; None is now.

    Raises:
        ServerDown, ServerTimeout: nothing answers at the address.
        ClientError: it is no Prometheus, or knows no counter of the model in that time.
    """
    series: dict[tuple[tuple[str, str], ...], float] = {}
    with http_client(url, timeout=TIMEOUT) as client:
        for name in COUNTERS:
            query = f"sum by ({_BY}) (increase({name}{{model_name={json.dumps(model)}}}[{window}]))"
            moment = {} if until is None else {"time": until}
            text = fetched(client, url, "/api/v1/query", query=query, **moment)
            series |= _series(text, name, url)
    if not series:
        raise ClientError(f"{url} knows no counter of {model} in {window}: does it read the metrics address?")
    return series


def _series(text: str, name: str, url: str) -> Series:
    try:
        return {
            (("__name__", name), *sorted(entry["metric"].items())): float(entry["value"][1])
            for entry in json.loads(text)["data"]["result"]
        }
    except (ValueError, KeyError, TypeError, LookupError) as error:
        raise ClientError(
            f"{url} answers as no Prometheus does: name its address, such as http://127.0.0.1:9090"
        ) from error
