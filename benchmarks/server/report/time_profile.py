"""The report's section on where the time of an answer goes."""

from collections.abc import Sequence
from typing import Any

from benchmarks.server.report.summary import summarise
from benchmarks.server.report.tables import figure, table
from benchmarks.server.systems.names import OURS


def time_profile(report: dict[str, Any]) -> str:
    """Write the times of the handler's stages, the worker's waiting time and the processor time as Markdown.

    Args:
        report: result of :func:`benchmarks.server.report.document.document`.
    """
    entries = report["systems"].get(OURS, [])
    if not entries:
        return "Not measured."
    stages = [name for name in entries[0].get("stages", {}) if name != "batches"]
    rows = [
        [
            name,
            figure(
                summarise([e["stages"][name] / e["stages"]["batches"] for e in entries if e["stages"]["batches"]]), 2
            ),
        ]
        for name in stages
    ]
    roles = sorted({role for entry in entries for role in entry["cpu_ms"]})
    cpu = [[role, figure(summarise([entry["cpu_ms"].get(role, 0) for entry in entries]), 2)] for role in roles]
    return (
        "Milliseconds of a batch in our handler's stages at saturation, by its own counters. Decode and tokenise are "
        "sums over several threads:\n\n" + table(["stage", "ms a batch"], rows)
        + _idle(report, entries) + "\n\nProcessor time of an answer at saturation:\n\n" + table(["process", "ms"], cpu)
    )  # fmt: skip


def _idle(report: dict[str, Any], entries: Sequence[dict[str, Any]]) -> str:
    """Compare the time between two full batches with the time that the stages take."""
    whole, busy = [], []
    for entry in entries:
        stages = entry["stages"]
        if stages["batches"]:
            whole.append(1000 * report["cap"] * report["workers"] / entry["rates"]["both"])
            busy.append(sum(spent for name, spent in stages.items() if name != "batches") / stages["batches"])
    if not whole:
        return ""
    return (
        f"\n\nAt saturation a worker has a batch of {report['cap']} every {figure(summarise(whole))} ms, and the "
        f"stages add up to {figure(summarise(busy))} ms. For the rest the worker waits for the front end, which splits "
        "the answers, sends them and builds the next batch."
    )
