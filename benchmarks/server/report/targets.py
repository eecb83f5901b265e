"""The targets, and the verdicts on a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.server.report.summary import Summary, ratios, summarise
from benchmarks.server.systems.names import CASCADE, IN_PROCESS, NOOP, OURS, PEER_CASCADE, STOCK

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"
Measured = Mapping[str, Any]


class Verdict(NamedTuple):
    """A target and the measured value.

    Args:
        target: name of the target.
        required: the bound in words.
        measured: median and range over the rounds; None if it was not measured.
        verdict: ``met``, ``missed`` or ``not measured``.
        note: condition of the measurement, or why there is none.
    """

    target: str
    required: str
    measured: Summary | None
    verdict: str
    note: str = ""


class Target(NamedTuple):
    """A bound on a figure.

    Args:
        name: name of the figure.
        bound: bound on the median.
        at_least: true for a lower bound, false for an upper bound.
        values: function from a run's document to one value for each round.
        unit: unit of the bound.
        note: condition of the measurement.
    """

    name: str
    bound: float
    at_least: bool
    values: Callable[[Measured], Sequence[float]]
    unit: str = ""
    note: str = ""


def judge(target: Target, measured: Measured) -> Verdict:
    """Compare the median with the bound."""
    required = f"{'>=' if target.at_least else '<='} {target.bound:g}{target.unit and ' ' + target.unit}"
    found = summarise(target.values(measured))
    if found is None:
        return Verdict(target.name, required, None, NOT_MEASURED, "this run left out its parts")
    met = found.median >= target.bound if target.at_least else found.median <= target.bound
    return Verdict(target.name, required, found, MET if met else MISSED, target.note)


def verdicts(measured: Measured) -> list[Verdict]:
    """Judge a run by every target, including those of a GPU.

    Args:
        measured: a run's document with ``in_process``, ``systems``, ``archive_ratio``, ``weights_bytes``, ``delay_ms``
            and ``machine``.
    """
    return [judge(target, measured) for target in TARGETS] + list(_gpu_verdicts(measured))


def _gpu_verdicts(measured: Measured) -> Iterator[Verdict]:
    gpu = measured.get("machine", {}).get("gpu")
    for target in GPU_TARGETS:
        verdict = judge(target, measured if gpu else {"systems": {}})
        yield verdict if gpu else verdict._replace(note="needs a GPU; this run used the CPU")
    step = "GPU: model step at batch 64, share of the measured bf16 peak"
    why = "`python -m benchmarks.studies.gpu_step ARCHIVE` measures it on a GPU"
    yield Verdict(step, ">= 35 %", None, NOT_MEASURED, why)


def best_peer(measured: Measured) -> str | None:
    """Return the peer with the highest median rate; None if no peer was measured."""
    medians = {
        name: found.median
        for name in measured["systems"]
        if name not in (OURS, STOCK, NOOP, CASCADE, PEER_CASCADE) and (found := summarise(rates(measured, name)))
    }
    return max(medians, key=medians.__getitem__, default=None)


def rates(measured: Measured, system: str, kind: str = "both") -> list[float]:
    """Return a system's products a second, one value for each round."""
    entries = measured["in_process"] if system == IN_PROCESS else measured["systems"].get(system, [])
    return [entry["rates"][kind] for entry in entries if kind in entry["rates"]]


def _beside(system: str) -> Callable[[Measured], list[float]]:
    return lambda measured: ratios(rates(measured, OURS), rates(measured, system))


def _beside_best_peer(measured: Measured) -> list[float]:
    return _beside(best_peer(measured) or "")(measured)


def _cascade_beside(system: str) -> Callable[[Measured], list[float]]:
    return lambda measured: ratios(rates(measured, CASCADE), rates(measured, system))


def _cascade_beside_best_peer(measured: Measured) -> list[float]:
    return _cascade_beside(best_peer(measured) or "")(measured)


def _beside_both(kind: str) -> Callable[[Measured], list[float]]:
    return lambda measured: ratios(rates(measured, OURS, kind), rates(measured, OURS))


def _overhead(measured: Measured) -> list[float]:
    alone = [entry["batch_ms"]["1"] for entry in measured["in_process"]]
    ours = [entry["unloaded_p50_ms"] for entry in _ours(measured)]
    return [a - b - measured["delay_ms"] for a, b in zip(ours, alone, strict=False)]


def _tail(measured: Measured) -> list[float]:
    loops = [loop for entry in _ours(measured) for loop in entry["open"] if loop["load"] == 0.7]
    return [loop["p99_ms"] / loop["perfect_p99_ms"] for loop in loops if loop.get("perfect_p99_ms")]


def _ours(measured: Measured) -> list[Any]:
    return list(measured["systems"].get(OURS, []))


TARGETS = (
    Target(
        "HTTP throughput / stock TorchServe handler", 9, True, _beside(STOCK),
        note="with the stock handler's best batch size and delay",
    ),
    Target("HTTP throughput / best peer with the same engine", 1.05, True, _beside_best_peer),
    Target(
        "cascade over HTTP / best peer serving the full model", 4, True, _cascade_beside_best_peer,
        note="the gain is the model's: a peer with the same cascade stands beside it",
    ),
    Target("cascade over HTTP / stock TorchServe handler", 35, True, _cascade_beside(STOCK)),
    Target("titles alone / both, without a cascade", 3, True, _beside_both("text")),
    Target("photographs 1080x1440 / 224-pixel pictures, without a cascade", 0.7, True, _beside_both("photo")),
    Target("HTTP throughput / in-process pipeline from raw bytes", 0.9, True, _beside(IN_PROCESS)),
    Target(
        "engine at batch 16 / ONNX Runtime CPU fp32 at 32 tokens", 6, True,
        lambda run: [entry["engine_rates"]["16"] / entry["reference_rate"] for entry in run["in_process"]],
        note="unpadded titles against titles padded to 32 tokens",
    ),
    Target("unloaded HTTP p50 - in-process p50 - maxBatchDelay", 3, False, _overhead, "ms"),
    Target("p99 at 70 % load / perfect queue", 1.3, False, _tail),
    Target(
        "resident memory of a worker / fp32 weights", 2.5, False,
        lambda run: [entry["worker_bytes"] / run["weights_bytes"] for entry in _ours(run)],
    ),
    Target(
        "goodput at 150 % offered load / saturation", 0.9, True,
        lambda run: [entry["overload"]["goodput"] / entry["rates"]["both"] for entry in _ours(run)],
    ),
    Target(
        "start of the server to its first answer", 15, False,
        lambda run: [entry["start_seconds"] for entry in _ours(run)], "s",
    ),
    Target("archive / fp32 weights", 1.1, False, lambda run: [run["archive_ratio"]]),
)  # fmt: skip
GPU_TARGETS = (
    Target("GPU: HTTP / no-op handler", 0.75, True, _beside(NOOP)),
    Target("GPU: HTTP / stock eager handler on the same GPU", 6, True, _beside(STOCK)),
)
