"""A run's document as Markdown."""

import functools
import operator
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.server.load.bodies import KINDS
from benchmarks.server.report.summary import NONE, figure, summarise, table
from benchmarks.server.report.targets import MISSED, best_peer, rates, verdicts
from benchmarks.server.systems.names import GENERATOR, IN_PROCESS, NOOP, OURS

MIB = 2**20


def render(report: dict[str, Any], *, chart: str) -> str:
    """Write the report as Markdown.

    Args:
        report: result of :func:`benchmarks.server.report.document.document`.
        chart: file name of the chart.
    """
    missing = "\n".join(f"- {name}: {reason}" for name, reason in report["missing"].items())
    sections = [
        _head(report),
        f"![requests a second]({chart})",
        "## Targets",
        _targets(report),
        "## Throughput",
        f"Products a second at saturation for each kind of request: median (least to most) of {_rounds(report)}. "
        f"Batches of at most {report['cap']}, {4 * report['cap']} connections.",
        _throughput(report),
        "## Engine",
        _engine(report),
        "## Our latency under random arrivals",
        _latency(report),
        "## Where the time goes",
        _time_profile(report),
        "## Memory and processor time",
        _costs(report),
        *(["## Not measured", missing] if missing else []),
        "## How it was measured",
        _method(report),
    ]
    return "\n\n".join(sections) + "\n"


def _head(report: dict[str, Any]) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    peers = ", ".join(f"{name} {version}" for name, version in machine["peers"].items())
    flags = " ".join(machine["flags"]) or "no AVX2, AVX-512 or AMX"
    lines = [
        f"# Benchmark of {report['when'][:16].replace('T', ' ')} UTC ({report['plan']}, commit {machine['commit']})",
        "",
        f"- {machine['cpu']}, {machine['cores']} cores ({flags}), {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}",
        f"- load average {machine['load_average'][0]} before, {machine['load_average_after'][0]:.1f} after the run; "
        f"{report['minutes']:g} minutes",
        f"- {report['model']}; {_workers(report)}; requests from {report['catalogue']}",
        f"- Python {machine['python']}, {versions}",
        f"- peers: {peers}",
    ]
    if report["plan"] == "quick" or machine["load_average"][0] > 0.5 * machine["cores"]:
        why = "a quick run" if report["plan"] == "quick" else "the machine was busy"
        lines += ["", f"**Not a result: {why}.** The figures show only that every measurement works."]
    return "\n".join(lines)


def _targets(report: dict[str, Any]) -> str:
    rows = []
    for verdict in verdicts(report):
        word = f"**{verdict.verdict}**" if verdict.verdict == MISSED else verdict.verdict
        measured = verdict.measured.text(2) if verdict.measured else NONE
        rows.append([verdict.target, verdict.required, measured, word, verdict.note])
    return table(["target", "required", "measured", "verdict", "note"], rows)


def _throughput(report: dict[str, Any]) -> str:
    systems = report["systems"]
    names = [IN_PROCESS, *sorted(systems, key=lambda name: -statistics.median(rates(report, name) or [0.0]))]
    rows = [
        [
            name,
            *(figure(rates(report, name, kind)) for kind in KINDS),
            *(_figures(systems.get(name, []), key) for key in ("p50_ms", "p99_ms")),
        ]
        for name in names
    ]
    text = table(["system", *KINDS, "p50 ms", "p99 ms"], rows)
    if report["stock_rates"]:
        tried = "; ".join(f"batch {name}: {rate:.1f}/s" for name, rate in report["stock_rates"].items())
        text += f"\n\nThe stock handler was tried with {tried}; the table shows batch {report['stock_setting'][0]}."
    best = best_peer(report)
    return f"{text} Best peer: {best}." if best else text


def _engine(report: dict[str, Any]) -> str:
    entries = report["in_process"]
    if not entries:
        return "Not measured."
    first = entries[0]
    rows = [
        *([f"engine, batch {size}", _figures(entries, "engine_rates", size)] for size in first["engine_rates"]),
        ["ONNX Runtime CPU fp32, batch 16, 32 tokens", _figures(entries, "reference_rate")],
        *([f"pipeline, batch {size} (ms a batch)", _figures(entries, "batch_ms", size)] for size in first["batch_ms"]),
    ]
    return f"`{first['engine']}`: {first['reason']}. Titles have {first['tokens']:.1f} tokens on average.\n\n" + table(
        ["", "products a second"], rows
    )


def _latency(report: dict[str, Any]) -> str:
    entries = report["systems"].get(OURS, [])
    if not entries:
        return "Not measured."
    keys = ("offered", "p50_ms", "p99_ms", "perfect_p50_ms", "perfect_p99_ms", "late_ms")
    rows = [
        [
            f"{loops[0]['load']:.0%}",
            *(_figures([loop for loop in loops if key in loop], key) for key in keys),
            _others(loops),
        ]
        for loops in zip(*(entry["open"] for entry in entries), strict=True)
    ]
    head = ["load", "offered/s", "p50 ms", "p99 ms", "perfect p50", "perfect p99", "generator late p99", "not 200"]
    over = [entry["overload"] for entry in entries]
    return (
        f"{table(head, rows)}\n\nA single request takes {_figures(entries, 'unloaded_p50_ms')} ms (p50). "
        f"At 150 % of saturation ours answers {_figures(over, 'goodput')} products a second; {_refused(over)}. "
        f"Answers other than 200: {_others(over)}."
    )


def _refused(over: Sequence[dict[str, Any]]) -> str:
    """How the server handles the requests beyond its capacity."""
    refused = [each for each in over if each["statuses"].get("503")]
    if not refused:
        return "the others wait in the queue, which does not fill up"
    typical, slowest = (_figures(refused, key) for key in ("refused_p50_ms", "refused_p99_ms"))
    return f"the others get 503 after {typical} ms (p50), {slowest} ms (p99)"


def _time_profile(report: dict[str, Any]) -> str:
    """The times of the handler's stages, the worker's waiting time and the processor time."""
    entries = report["systems"].get(OURS, [])
    if not entries:
        return "Not measured."
    counted = [entry for entry in entries if entry["stages"]["batches"]]
    rows = [
        [name, figure([entry["stages"][name] / entry["stages"]["batches"] for entry in counted], 2)]
        for name in entries[0]["stages"]
        if name != "batches"
    ]
    roles = sorted({role for entry in entries for role in entry["cpu_ms"]})
    cpu = [[role, figure([entry["cpu_ms"].get(role, 0) for entry in entries], 2)] for role in roles]
    return (
        "Milliseconds of a batch in our handler's stages at saturation, by its own counters. Decode and tokenise are "
        "sums over several threads:\n\n" + table(["stage", "ms a batch"], rows)
        + _idle(report, counted) + "\n\nProcessor time of an answer at saturation:\n\n" + table(["process", "ms"], cpu)
    )  # fmt: skip


def _idle(report: dict[str, Any], entries: Sequence[dict[str, Any]]) -> str:
    """Compare the time between two full batches with the time that the stages take."""
    if not entries:
        return ""
    whole = [1000 * report["cap"] * report["workers"] / entry["rates"]["both"] for entry in entries]
    stages = [entry["stages"] for entry in entries]
    busy = [sum(each[name] for name in each if name != "batches") / each["batches"] for each in stages]
    return (
        f"\n\nAt saturation a worker has a batch of {report['cap']} every {figure(whole)} ms, and the "
        f"stages add up to {figure(busy)} ms. For the rest the worker waits for the front end, which splits "
        "the answers, sends them and builds the next batch."
    )


def _costs(report: dict[str, Any]) -> str:
    rows = [
        [
            name,
            *(_figures(entries, f"{key}_bytes", digits=0, scale=1 / MIB)
              for key in ("worker", "worker_resident", "worker_private", "all")),
            _figures(entries, "processes", digits=0),
            figure([sum(ms for role, ms in entry["cpu_ms"].items() if role != GENERATOR) for entry in entries], 2),
            _figures(entries, "start_seconds"),
            _figures(entries, "generator_share", scale=100),
        ]
        for name, entries in report["systems"].items()
    ]  # fmt: skip
    if report["in_process"]:
        peak = _figures(report["in_process"], "peak_bytes", digits=0, scale=1 / MIB)
        rows.append([IN_PROCESS, peak, NONE, NONE, NONE, "1", NONE, NONE, NONE])
    head = [
        "system",
        "worker: peak MiB",
        "resident at the end, MiB",
        "private at the end, MiB",
        "all processes: peak MiB",
        "processes",
        "CPU ms an answer",
        "seconds to the first answer",
        "load generator, % of all cores",
    ]
    return (
        table(head, rows) + _inherited(report) + f"\n\nThe archive has {report['archive_bytes'] / 1e6:.1f} MB, the "
        f"fp32 weights {report['weights_bytes'] / 1e6:.1f} MB. "
        "A page that processes share counts for each of them. The stock and the no-op handler are registered with a "
        "running server; their time to the first answer includes the start of that server."
    )


def _inherited(report: dict[str, Any]) -> str:
    """The memory of a worker before it has loaded any model."""
    empty = summarise([entry["worker_bytes"] / MIB for entry in report["systems"].get(NOOP, [])])
    if empty is None:
        return ""
    return (
        "\n\nA worker of TorchServe always imports torch (`ts/protocol/otf_message_handler.py`). With the no-op "
        f"handler, which has no model, it takes {empty.median:,.0f} MiB, "
        f"{empty.median * MIB / report['weights_bytes']:.1f} times the weights."
    )


def _method(report: dict[str, Any]) -> str:
    return (
        f"{_rounds(report)}, every second one in reverse order (A B B A). Each system starts anew in each round and "
        "shares the machine only with the load generator. A ratio is the median of the ratios within the rounds. Every "
        f"system has {_workers(report)}. All but the stock handler run the archive's handler on the same request "
        f'bodies, with at most {report["cap"]} requests a batch. "In process" is one pipeline on all cores, without '
        "a server. Saturation is a closed loop over open connections. Under random arrivals (Poisson) a latency counts "
        "from the time at which the request was due. The perfect queue is simulated with the same arrivals and with "
        "batch times measured in process on a worker's share of the cores; nothing else takes time. The stock handler "
        "is TorchServe's BaseHandler around the eager fp32 model, on the same server configuration."
    )


def _workers(report: dict[str, Any]) -> str:
    count = report["workers"]
    return "one process that computes" if count == 1 else f"{count} processes that compute and share the cores"


def _rounds(report: dict[str, Any]) -> str:
    return "1 round" if report["rounds"] == 1 else f"{report['rounds']} rounds"


def _others(entries: Sequence[dict[str, Any]]) -> str:
    """The counts of the answers other than 200."""
    counts = sum((Counter(entry["statuses"]) for entry in entries), Counter[str]())
    words = {"0": "no answer"}
    others = sorted((status, count) for status, count in counts.items() if status != "200")
    return ", ".join(f"{words.get(status, status)}: {count}" for status, count in others) or "none"


def _figures(entries: Sequence[Any], *path: str, digits: int = 1, scale: float = 1) -> str:
    """The figure of the values that stand under a path of keys in the entries."""
    return figure([scale * functools.reduce(operator.getitem, path, entry) for entry in entries], digits)
