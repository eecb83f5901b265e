"""Counters become answers: of a text, of two texts, of a Prometheus, and of a scored catalogue."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.api.errors import ClientError, ServerDown
from client.drift import metrics_text, prometheus
from client.drift.counters import Series, counted_version, counter_counts
from client.drift.counts import Share
from client.drift.metrics_text import read_metrics, since
from client.drift.prometheus import read_growth
from client.drift.scored import scored_counts
from handlers.product_serving.metrics import SCORE_BOUNDS, bound_value

CLASSES = ("Bags", "Men: Hats", "Shoes")
HOST = 'Hostname="here"'


def metrics(version: str = "1.0", *, times: int = 1, early: int = 0) -> str:
    """The text of a server that answered ten products, by two workers' hosts."""
    own = f'model_name="late",model_version="{version}"'
    lines = [
        "# HELP product_items_total Torchserve prometheus counter metric",
        f'ts_queue_latency_microseconds{{{own},hostname="here"}} 12.5',
    ]

    def count(name: str, value: float, **labels: str) -> None:
        further = "".join(f',{key}="{text}"' for key, text in labels.items())
        lines.append(f"{name}{{{own}{further},{HOST}}} {value * times}")

    count("product_items_total", 6.0, backend="onnx", api="predictions", code="200", modality="both")
    count("product_items_total", 1.0, backend="onnx", api="explanations", code="200", modality="both")
    count("product_items_total", 3.0, backend="onnx", api="predictions", code="200", modality="text")
    count("product_items_total", 9.0, backend="onnx", api="predictions", code="415", modality="none")
    count("product_labels_total", 4.0, label="Bags")
    count("product_labels_total", 6.0, label="Men_ Hats")
    count("product_labels_total", 0.0, label="Shoes")
    for bound in SCORE_BOUNDS:
        count("product_score_bucket", 2.0 if bound < 0.9 else 10.0, le=bound_value(bound))
    count("product_review_reasons_total", 2.0, reason="unsure")
    count("product_review_reasons_total", 1.0, reason="picture_and_title_disagree")
    count("product_exits_total", float(early), outcome="text")
    return "\n".join(lines) + "\n"


def written(folder: Path, text: str, name: str = "metrics.txt") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def counted(series: Series, version: str = "1.0"):  # type: ignore[no-untyped-def]
    return counter_counts(series, model="late", version=version, known=CLASSES, place="there")


def test_a_text_becomes_answers(tmp_path: Path) -> None:
    found = counted(read_metrics(written(tmp_path, metrics())))
    assert found.products == 10 and found.modalities == {"both": 7, "text": 3}
    assert found.labels == {"Bags": 4, "Men: Hats": 6, "Shoes": 0}
    assert found.scores == [2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0]
    assert found.unsure == Share(2, 10) and found.conflicts == Share(1, 7)


def test_hosts_are_added_up(tmp_path: Path) -> None:
    both = metrics() + metrics().replace(HOST, 'Hostname="there"')
    assert counted(read_metrics(written(tmp_path, both))).products == 20


def test_a_cascade_is_not_compared_by_what_it_reads(tmp_path: Path) -> None:
    found = counted(read_metrics(written(tmp_path, metrics(early=3))))
    assert found.modalities is None and found.conflicts is None and "exits of the cascade" in found.notes[0]
    assert found.products == 10 and found.unsure == Share(2, 10)


def test_an_archive_of_an_earlier_version_counts_no_scores(tmp_path: Path) -> None:
    text = "\n".join(line for line in metrics().splitlines() if "score_bucket" not in line)
    found = counted(read_metrics(written(tmp_path, text)))
    assert found.scores is None and "no product_score_bucket" in found.notes[0]


def test_the_answers_since_an_earlier_text(tmp_path: Path) -> None:
    now, before = read_metrics(written(tmp_path, metrics(times=3))), read_metrics(written(tmp_path, metrics()))
    assert counted(since(now, before, place="old")).products == 20
    with pytest.raises(ClientError, match="the server was started after old was saved"):
        since(before, now, place="old")


def test_the_version_with_answers_is_counted(tmp_path: Path) -> None:
    idle = metrics("2.0", times=0)
    series = read_metrics(written(tmp_path, metrics() + idle))
    assert counted_version(series, model="late", version=None, place="there") == "1.0"
    both = read_metrics(written(tmp_path, metrics() + metrics("2.0")))
    assert counted_version(both, model="late", version="2.0", place="there") == "2.0"
    for asked, version, message in (
        (both, None, r"answers of late 1\.0, 2\.0: choose one with --version"),
        (both, "3.0", r"no answers of late 3\.0; versions with answers: 1\.0, 2\.0"),
        (read_metrics(written(tmp_path, idle)), None, "no answers of late yet"),
    ):
        with pytest.raises(ClientError, match=message):
            counted_version(asked, model="late", version=version, place="there")
    with pytest.raises(ClientError, match="no answers of early; models there: late"):
        counted_version(both, model="early", version=None, place="there")


def test_a_class_of_another_model_is_named(tmp_path: Path) -> None:
    series = read_metrics(written(tmp_path, metrics()))
    with pytest.raises(ClientError, match=r"classes that the reference does not have \('Bags'\)"):
        counter_counts(series, model="late", version="1.0", known=CLASSES[1:], place="there")


@pytest.mark.parametrize(
    ("text", "message"), [("# nothing\n", "holds no counter of a model"), ("a b c\n<html>", "holds no counter")]
)
def test_a_text_without_counters_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        read_metrics(written(tmp_path, text))
    with pytest.raises(ClientError, match=r"gone\.txt cannot be read"):
        read_metrics(str(tmp_path / "gone.txt"))


def answering(monkeypatch: pytest.MonkeyPatch, answer: httpx.MockTransport) -> None:
    for module in (metrics_text, prometheus):
        monkeypatch.setattr(
            module, "http_client", lambda url, timeout: httpx.Client(base_url=url, transport=answer, timeout=timeout)
        )


def test_the_metrics_address_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.port == 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, text=metrics())

    answering(monkeypatch, httpx.MockTransport(answer))
    for place in ("http://127.0.0.1:8082", "http://127.0.0.1:8082/metrics"):
        assert counted(read_metrics(place)).products == 10
    assert {url.rstrip("/") for url in asked} == {"http://127.0.0.1:8082/metrics"}
    with pytest.raises(ServerDown, match=r"nothing answers at http://127\.0\.0\.1:1"):
        read_metrics("http://127.0.0.1:1")


def test_a_prometheus_is_asked_for_the_growth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    series = read_metrics(written(tmp_path, metrics()))
    asked: list[Mapping[str, list[str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(parse_qs(request.url.query.decode()))
        [query] = asked[-1]["query"]
        own = [
            {"metric": {k: v for k, v in key if k != "__name__"}, "value": [0, str(value)]}
            for key, value in series.items()
            if f"({dict(key)['__name__']}{{" in query
        ]
        return httpx.Response(200, text=json.dumps({"data": {"result": own}}))

    answering(monkeypatch, httpx.MockTransport(answer))
    found = counted(read_growth("http://127.0.0.1:9090", model="late", window="12h", until="17"))
    assert found.products == 10 and found.scores == [2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0]
    assert all('{model_name="late"}[12h]' in each["query"][0] and each["time"] == ["17"] for each in asked)


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (200, "<html>", "answers as no Prometheus does"),
        (200, '{"data": {"result": []}}', "knows no counter of late in 1d"),
        (400, '{"error": "bad time"}', "answers 400: .*bad time"),
    ],
)
def test_what_is_no_prometheus_is_said(monkeypatch: pytest.MonkeyPatch, status: int, text: str, message: str) -> None:
    answering(monkeypatch, httpx.MockTransport(lambda request: httpx.Response(status, text=text)))
    with pytest.raises(ClientError, match=message):
        read_growth("http://127.0.0.1:9090", model="late", window="1d")


def write_scores(folder: Path, rows: list[dict[str, object]]) -> Path:
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "predictions.parquet")
    (folder / "summary.json").write_text(json.dumps({"key": {"model": "late", "version": "2.0"}}))
    return folder


def row(**changes: object) -> dict[str, object]:
    usual = {"label": "Bags", "score": 0.97, "review": "", "modalities": "image+text", "image": "a.jpg", "text": "Bag"}
    return {**usual, **changes}


def test_a_scored_catalogue_becomes_answers(tmp_path: Path) -> None:
    rows = [
        row(),
        row(label="Shoes", score=0.3, review="unsure+picture_and_title_disagree"),
        row(score=1.0, modalities="text"),  # an exit of a cascade did not look at the picture
        row(image="", modalities="text", review="unsure"),
    ]
    found = scored_counts(write_scores(tmp_path / "scores", rows))
    assert found.products == 4 and found.labels == {"Bags": 3, "Shoes": 1} and found.source.endswith("(late 2.0)")
    assert found.modalities == {"both": 3, "text": 1}
    assert found.scores == [1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]
    assert found.unsure == Share(2, 4) and found.conflicts == Share(1, 3)


def test_a_model_of_one_modality_is_counted_by_what_it_reads(tmp_path: Path) -> None:
    rows = [row(modalities="text"), row(modalities="text", image="")]
    assert scored_counts(write_scores(tmp_path / "scores", rows)).modalities == {"text": 2}


def test_what_is_no_scored_catalogue_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="holds no scored catalogue; `python -m client score"):
        scored_counts(tmp_path)
    folder = write_scores(tmp_path / "old", [{"label": "Bags", "score": 1.0}])
    with pytest.raises(ClientError, match=r"cannot be read .*score the catalogue again"):
        scored_counts(folder)
