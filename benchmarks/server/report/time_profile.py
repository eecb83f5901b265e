"""Where the time of an answer goes, out of a run's document."""

from collections.abc import Sequence
from typing import Any

from benchmarks.server.report.summary import summarise
from benchmarks.server.report.tables import figure, table
from benchmarks.server.systems.names import OURS


def time_profile(report: dict[str, Any]) -> str:
    """Stages of our handler, what the worker waits, and processor time by process, as Markdown.

    Args:
        report: of :func:`benchmarks.server.report.document.document`.
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
        "Milliseconds of a batch in our handler's stages at saturation, by its own counters; decode and tokenise add "
        "up the times of several threads:\n\n" + table(["stage", "ms a batch"], rows)
        + _idle(report, entries) + "\n\nProcessor time of an answer at saturation:\n\n" + table(["who", "ms"], cpu)
    )  # fmt: skip


def _idle(report: dict[str, Any], entries: Sequence[dict[str, Any]]) -> str:
    """The share of a full batch's time in which the worker waits."""
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
        f"stages add up to {figure(summarise(busy))} ms. For the rest the worker waits: the front end takes its "
        "answers apart, answers the requests and puts the next batch together."
    )
