"""The verdict on each target."""

from typing import Any

import pytest
from bench_document import PEER, SLOW_PEER, run_document

from benchmarks.server.report.targets import GPU_TARGETS, MET, MISSED, NOT_MEASURED, TARGETS, best_peer, rates, verdicts
from benchmarks.server.systems.names import NOOP, OURS, STOCK


def verdict_on(part: str, measured: dict[str, Any]) -> tuple[str, float | None]:
    [found] = [verdict for verdict in verdicts(measured) if part in verdict.target]
    return found.verdict, None if found.measured is None else found.measured.median


@pytest.fixture
def measured() -> dict[str, Any]:
    return run_document()


def test_every_target_of_the_cpu_is_judged_and_none_of_the_gpu(measured: dict[str, Any]) -> None:
    found = verdicts(measured)
    assert [verdict.verdict for verdict in found] == [MET] * len(TARGETS) + [NOT_MEASURED] * (len(GPU_TARGETS) + 1)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("HTTP throughput / stock TorchServe handler", (190 / 19 + 188 / 18) / 2),
        ("HTTP throughput / best peer", (190 / 170 + 188 / 172) / 2),
        ("cascade over HTTP / best peer", (800 / 170 + 810 / 172) / 2),
        ("cascade over HTTP / stock", (800 / 19 + 810 / 18) / 2),
        ("titles alone / both", 3.0),
        ("photographs", 0.75),
        ("in-process pipeline", (0.95 + 0.94) / 2),
        ("engine at batch 16", 6.0),
        ("unloaded", 14 - 10 - 2),
        ("perfect queue", 60 / 50),
        ("resident memory", 2.0),
        ("goodput", 0.95),
        ("start of the server", 8.0),
        ("archive", 1.05),
    ],
)
def test_figures_are_what_the_targets_say(measured: dict[str, Any], part: str, value: float) -> None:
    assert verdict_on(part, measured)[1] == pytest.approx(value)


def test_a_bound_itself_is_met_and_beyond_it_missed(measured: dict[str, Any]) -> None:
    for entry, worker in zip(measured["systems"][OURS], (250, 250), strict=True):
        entry["worker_bytes"] = worker * 2**20
    assert verdict_on("resident memory", measured) == (MET, 2.5)
    measured["archive_ratio"] = 1.1001
    assert verdict_on("archive", measured) == (MISSED, 1.1001)


def test_the_median_decides_not_a_lucky_round(measured: dict[str, Any]) -> None:
    for entry, goodput in zip(measured["systems"][OURS], (200.0, 100.0), strict=True):
        entry["overload"]["goodput"] = goodput
    assert verdict_on("goodput", measured)[0] == MISSED


def test_the_best_peer_is_none_of_torchserves_handlers(measured: dict[str, Any]) -> None:
    assert best_peer(measured) == PEER
    del measured["systems"][PEER]
    assert best_peer(measured) == SLOW_PEER
    measured["systems"] = {name: measured["systems"][name] for name in (OURS, STOCK, NOOP)}
    assert best_peer(measured) is None
    assert verdict_on("HTTP throughput / best peer", measured) == (NOT_MEASURED, None)


def test_what_was_left_out_is_not_judged(measured: dict[str, Any]) -> None:
    measured["systems"], measured["in_process"] = {}, []
    found = {verdict.target: verdict for verdict in verdicts(measured)}
    assert {verdict.verdict for name, verdict in found.items() if not name.startswith("archive")} == {NOT_MEASURED}
    assert all(verdict.note for verdict in found.values() if verdict.verdict == NOT_MEASURED)


def test_rates_are_by_kind(measured: dict[str, Any]) -> None:
    assert rates(measured, OURS, "text") == [570.0, 564.0]
    assert rates(measured, OURS, "image") == []


def test_with_a_gpu_the_server_is_judged_beside_its_own_limits(measured: dict[str, Any]) -> None:
    """The two ratios of a run; the model's step has a measurement of its own, and says which."""
    ours = [entry["rates"]["both"] for entry in measured["systems"][OURS]]
    rivals = {name: [entry["rates"]["both"] for entry in measured["systems"][name]] for name in (STOCK, NOOP)}
    assert verdict_on("GPU: HTTP / no-op", measured) == (NOT_MEASURED, None)
    measured["machine"]["gpu"] = "A GPU"
    for part, name in [("GPU: HTTP / no-op", NOOP), ("GPU: HTTP / stock eager", STOCK)]:
        expected = sum(a / b for a, b in zip(ours, rivals[name], strict=True)) / len(ours)
        assert verdict_on(part, measured)[1] == pytest.approx(expected)
    assert verdict_on("GPU: model step", measured) == (NOT_MEASURED, None)
