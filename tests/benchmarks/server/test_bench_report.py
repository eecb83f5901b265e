"""The report of a run: every figure that it promises, and what it must not hide."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bench_document import run_document

from benchmarks.server.measure.plan import FULL
from benchmarks.server.measure.rounds import Results
from benchmarks.server.report.document import document, readable_json, write_report
from benchmarks.server.report.markdown import render
from benchmarks.server.report.summary import table
from benchmarks.server.systems.names import OURS
from benchmarks.server.systems.served_model import ServedModel


@pytest.fixture
def report() -> dict[str, Any]:
    return run_document()


def test_it_names_the_machine_and_the_commit(report: dict[str, Any]) -> None:
    text = render(report, chart="chart.png")
    for part in (
        "A Processor",
        "2 cores (avx512_bf16)",
        "commit abcdef012345",
        "torch 2.14.1",
        "mosec 0.9.8",
        "a shape",
        "2 processes that compute and share the cores",
    ):
        assert part in text


def test_every_system_and_every_target_has_its_line(report: dict[str, Any]) -> None:
    text = render(report, chart="chart.png")
    for name in report["systems"]:
        assert f"| {name} |" in text
    assert "| ours | 189.0 (188.0 to 190.0) | 141.8 (141.0 to 142.5) | 567.0 (564.0 to 570.0) |" in text
    assert text.count("| not measured |") == 3
    assert "| front end | 0.50 (0.50 to 0.50) |" in text and "| 8.75 (8.75 to 8.75) |" in text
    assert "503: 4" in text and "503: 1100" in text
    assert (
        "a worker has a batch of 16 every 169.3 (168.4 to 170.2) ms, and the stages add up to 79.0 (79.0 to 79.0) ms"
        in text
    )


def test_an_overload_that_the_queue_holds(report: dict[str, Any]) -> None:
    assert "the others get 503 after 2.0 (2.0 to 2.0) ms (p50)" in render(report, chart="chart.png")
    for entry in report["systems"][OURS]:
        entry["overload"] |= {"statuses": {"200": 1500}, "refused_p50_ms": float("nan")}
    text = render(report, chart="chart.png")
    assert "the others wait in the queue, which does not fill up" in text and "nan" not in text


def test_a_target_that_is_missed_stands_out(report: dict[str, Any]) -> None:
    assert "**missed**" not in render(report, chart="chart.png")
    report["archive_ratio"] = 2.0
    assert "| archive / fp32 weights | <= 1.1 | 2.00 | **missed** |" in render(report, chart="chart.png")


def test_a_peer_that_is_not_measured_is_named_with_its_reason(report: dict[str, Any]) -> None:
    report["missing"] = {"BentoML": "ModuleNotFoundError: bentoml"}
    assert "- BentoML: ModuleNotFoundError: bentoml" in render(report, chart="chart.png")


@pytest.mark.parametrize(
    ("changes", "warns"),
    [({}, False), ({"plan": "quick"}, True), ({"load_average": [1.5, 1.0, 1.0]}, True)],
)
def test_a_quick_run_and_a_busy_machine_are_no_result(
    report: dict[str, Any], changes: dict[str, Any], warns: bool
) -> None:
    report["machine"]["load_average"] = changes.pop("load_average", report["machine"]["load_average"])
    assert ("Not a result" in render({**report, **changes}, chart="chart.png")) == warns


def test_a_run_of_a_few_systems_has_a_report_too(report: dict[str, Any]) -> None:
    for left in ([OURS], ["mosec"], []):
        part = {**report, "systems": {name: report["systems"][name] for name in left}, "in_process": []}
        assert "Not measured." in render(part, chart="chart.png")


def test_files_are_dated_and_complete(report: dict[str, Any], tmp_path: Path) -> None:
    path = write_report(report, tmp_path)
    assert path.name == "2026-11-23-1500-full.md"
    assert {file.suffix for file in tmp_path.iterdir()} == {".md", ".json", ".png"}
    assert "2026-11-23-1500-full.png" in path.read_text(encoding="utf-8")
    document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert document["systems"][OURS][0]["rates"]["both"] == 190.0
    assert path.with_suffix(".png").stat().st_size > 10_000


def test_the_same_run_gives_the_same_files(report: dict[str, Any], tmp_path: Path) -> None:
    first, second = write_report(report, tmp_path / "a"), write_report(report, tmp_path / "b")
    assert first.with_suffix(".png").read_bytes() == second.with_suffix(".png").read_bytes()


def test_a_document_keeps_the_median_of_the_batches(tmp_path: Path) -> None:
    (tmp_path / "a.mar").write_bytes(bytes(20))
    served = ServedModel("a shape", tmp_path / "a.mar", tmp_path / "noop.mar", {}, 10, 2)
    results = Results(in_process=[{"cap": 16, "batch_seconds": {"1": [0.1, 0.2, 0.9]}}])
    when = datetime(2026, 11, 23, tzinfo=UTC)
    made = document(results, machine={}, served=served, plan=FULL, catalogue="drawn", when=when, minutes=1)
    assert made["in_process"] == [{"cap": 16, "batch_ms": {"1": pytest.approx(200)}}]
    assert made["archive_ratio"] == 2


def test_json_is_a_line_for_each_list_of_plain_values() -> None:
    value = {
        "short": [{"a": 1}],
        "plain": list(range(200)),
        "deep": {"b": [{"x" * 200: 1.5}, {"y" * 200: None}], "c": []},
    }
    text = readable_json(value)
    assert json.loads(text) == value
    assert [line.strip()[:9] for line in text.splitlines()[:4]] == ["{", '"short": ', '"plain": ', '"deep": {']
    assert len(text.splitlines()) == 11


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(["a"], [["x | y"]]).splitlines()[-1] == "| x \\| y |"
