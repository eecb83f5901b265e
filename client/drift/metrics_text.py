"""Reads counters from the text of the metrics address, and takes an earlier text from a later one.

The form is that of Prometheus: a line ``name{label="value",...} number`` for each series.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx

from client.api.errors import ClientError, ServerDown, ServerTimeout
from client.api.proxies import http_client
from client.drift.counters import Series

_LINE = re.compile(r"(\w+)\{(.*)\}\s+(\S+)(?:\s+-?\d+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
TIMEOUT = 10.0


def read_metrics(place: str) -> Series:
    """The counters of an address or a file, added up over the workers' hosts.

    Raises:
        ServerDown, ServerTimeout: nothing answers at the address.
        ClientError: the file cannot be read, or holds no counter of the handler.
    """
    text = _fetched(place) if place.startswith(("http://", "https://")) else _file(place)
    series: dict[tuple[tuple[str, str], ...], float] = {}
    for key, value in _lines(text):
        series[key] = series.get(key, 0.0) + value
    if not series:
        raise ClientError(
            f"{place} holds no counter of a model (product_items_total): is it the metrics address of a server whose "
            "metrics_config is deploy/metrics.yaml?"
        )
    return series


def since(now: Series, before: Series, *, place: str) -> Series:
    """How much each counter has grown.

    Args:
        place: of the earlier text, for the message.

    Raises:
        ClientError: a counter has become smaller, so the server was started in between.
    """
    grown = {key: value - before.get(key, 0.0) for key, value in now.items()}
    if any(value < 0 for value in grown.values()) or set(before) - set(now):
        raise ClientError(
            f"the server was started after {place} was saved: save the text of its metrics address again, or leave out "
            "--since, which counts from its start"
        )
    return grown


def _lines(text: str) -> Iterator[tuple[tuple[tuple[str, str], ...], float]]:
    for line in text.splitlines():
        if (match := _LINE.fullmatch(line.strip())) and match[1].startswith("product_"):
            labels = {name: _ESCAPED.sub(r"\1", value) for name, value in _LABEL.findall(match[2])}
            labels.pop("Hostname", None)
            try:
                yield (("__name__", match[1]), *sorted(labels.items())), float(match[3])
            except ValueError as error:
                raise ClientError(f"the metrics have a value that is no number: {line.strip()[:100]}") from error


def _file(place: str) -> str:
    try:
        return Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{place} cannot be read as the text of a metrics address ({error})") from error


def _fetched(url: str) -> str:
    path = "" if httpx.URL(url).path.strip("/") else "/metrics"
    with http_client(url, timeout=TIMEOUT) as client:
        return fetched(client, url, path)


def fetched(client: httpx.Client, url: str, path: str, **params: str) -> str:
    """The text of an answer.

    Raises:
        ServerDown, ServerTimeout: nothing answers.
        ClientError: the answer is an error.
    """
    try:
        response = client.get(path, params=params or None)
    except httpx.TimeoutException as error:
        raise ServerTimeout(f"{url} did not answer within {TIMEOUT:g} s") from error
    except httpx.HTTPError as error:
        raise ServerDown(f"nothing answers at {url} ({error})") from error
    if response.is_error:
        raise ClientError(f"{url} answers {response.status_code}: {response.text[:200].strip()}")
    return response.text
