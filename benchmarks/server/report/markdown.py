"""A run's document as Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.server.load.bodies import KINDS
from benchmarks.server.report.summary import summarise
from benchmarks.server.report.tables import NONE, figure, table
from benchmarks.server.report.targets import MISSED, best_peer, rates, verdicts
from benchmarks.server.report.time_profile import time_profile
from benchmarks.server.systems.names import GENERATOR, IN_PROCESS, NOOP, OURS

MIB = 2**20


def render(report: dict[str, Any], *, chart: str) -> str:
    """Write the report as Markdown.

    Args:
        report: result of :func:`benchmarks.server.report.document.document`.
        chart: file name of the chart.
    """
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
        time_profile(report),
        "## Memory and processor time",
        _costs(report),
        *_missing(report),
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
        rows.append([verdict.target, verdict.required, figure(verdict.measured, 2), word, verdict.note])
    return table(["target", "required", "measured", "verdict", "note"], rows)


def _throughput(report: dict[str, Any]) -> str:
    names = [IN_PROCESS, *sorted(report["systems"], key=lambda name: -_middle(rates(report, name)))]
    rows = [
        [name, *(figure(summarise(rates(report, name, kind))) for kind in KINDS), *_server_latency(report, name)]
        for name in names
    ]
    note = f"\n\nThe stock handler was tried with {_settings(report)}." if report["stock_rates"] else ""
    best = best_peer(report)
    note += f" Best peer: {best}." if best else ""
    return table(["system", *KINDS, "p50 ms", "p99 ms"], rows) + note


def _settings(report: dict[str, Any]) -> str:
    tried = "; ".join(f"batch {name}: {rate:.1f}/s" for name, rate in report["stock_rates"].items())
    return f"{tried}; the table shows batch {report['stock_setting'][0]}"


def _engine(report: dict[str, Any]) -> str:
    entries = report["in_process"]
    if not entries:
        return "Not measured."
    rows = [
        [f"engine, batch {size}", figure(summarise([entry["engine_rates"][size] for entry in entries]))]
        for size in entries[0]["engine_rates"]
    ]
    rows.append(
        [
            "ONNX Runtime CPU fp32, batch 16, 32 tokens",
            figure(summarise([entry["reference_rate"] for entry in entries])),
        ]
    )
    rows += [
        [f"pipeline, batch {size} (ms a batch)",
         figure(summarise([entry["batch_ms"][size] for entry in entries]))]
        for size in entries[0]["batch_ms"]
    ]  # fmt: skip
    first = entries[0]
    return f"`{first['engine']}`: {first['reason']}. Titles have {first['tokens']:.1f} tokens on average.\n\n" + table(
        ["", "products a second"], rows
    )


def _latency(report: dict[str, Any]) -> str:
    entries = report["systems"].get(OURS, [])
    if not entries:
        return "Not measured."
    rows = []
    for number, loop in enumerate(entries[0]["open"]):
        loops = [entry["open"][number] for entry in entries]
        rows.append([
            f"{loop['load']:.0%}",
            *(figure(summarise([each[name] for each in loops if name in each]))
              for name in ("offered", "p50_ms", "p99_ms", "perfect_p50_ms", "perfect_p99_ms", "late_ms")),
            _others([each["statuses"] for each in loops]),
        ])  # fmt: skip
    over = [entry["overload"] for entry in entries]
    return (
        table(
            ["load", "offered/s", "p50 ms", "p99 ms", "perfect p50", "perfect p99", "generator late p99", "not 200"],
            rows,
        )
        + f"\n\nA single request takes {figure(summarise([entry['unloaded_p50_ms'] for entry in entries]))} ms (p50). "
        f"At 150 % of saturation ours answers {figure(summarise([each['goodput'] for each in over]))} products a "
        f"second; {_refused(over)}. Answers other than 200: "
        f"{_others([each['statuses'] for each in over])}."
    )


def _refused(over: Sequence[dict[str, Any]]) -> str:
    """How the server handles the requests beyond its capacity."""
    turned_away = [each for each in over if each["statuses"].get("503")]
    if not turned_away:
        return "the others wait in the queue, which does not fill up"
    typical, slowest = (
        figure(summarise([each[name] for each in turned_away])) for name in ("refused_p50_ms", "refused_p99_ms")
    )
    return f"the others get 503 after {typical} ms (p50), {slowest} ms (p99)"


def _costs(report: dict[str, Any]) -> str:
    rows = []
    for name, entries in report["systems"].items():
        rows.append([
            name,
            *(figure(summarise([entry[f"worker{part}_bytes"] / MIB for entry in entries]), 0)
              for part in ("", "_resident", "_private")),
            figure(summarise([entry["all_bytes"] / MIB for entry in entries]), 0),
            figure(summarise([entry["processes"] for entry in entries]), 0),
            figure(summarise([_server_ms(entry) for entry in entries]), 2),
            figure(summarise([entry["start_seconds"] for entry in entries])),
            figure(summarise([100 * entry["generator_share"] for entry in entries])),
        ])  # fmt: skip
    if report["in_process"]:
        peak = summarise([entry["peak_bytes"] / MIB for entry in report["in_process"]])
        rows.append([IN_PROCESS, figure(peak, 0), NONE, NONE, NONE, "1", NONE, NONE, NONE])
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
    archive = _inherited(report) + (
        f"\n\nThe archive has {report['archive_bytes'] / 1e6:.1f} MB, the fp32 weights "
        f"{report['weights_bytes'] / 1e6:.1f} MB. "
        "A page that processes share counts for each of them. The stock and the no-op handler are registered with a "
        "running server; their time to the first answer includes the start of that server."
    )
    return table(head, rows) + archive


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


def _missing(report: dict[str, Any]) -> Iterator[str]:
    if report["missing"]:
        yield "## Not measured"
        yield "\n".join(f"- {name}: {reason}" for name, reason in report["missing"].items())


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


def _server_latency(report: dict[str, Any], name: str) -> list[str]:
    entries = report["systems"].get(name, [])
    return [figure(summarise([entry[key] for entry in entries])) for key in ("p50_ms", "p99_ms")]


def _server_ms(entry: dict[str, Any]) -> float:
    return float(sum(spent for role, spent in entry["cpu_ms"].items() if role != GENERATOR))


def _others(statuses: Sequence[dict[str, int]]) -> str:
    counts: dict[str, int] = {}
    for entry in statuses:
        for status, count in entry.items():
            if status != "200":
                counts[status] = counts.get(status, 0) + count
    words = {"0": "no answer"}
    return ", ".join(f"{words.get(status, status)}: {count}" for status, count in sorted(counts.items())) or "none"


def _middle(values: Sequence[float]) -> float:
    found = summarise(values)
    return 0.0 if found is None else found.median
