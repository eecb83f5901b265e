"""The document of a run, and the files made from it."""

import json
import statistics
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.server.measure.plan import Plan
from benchmarks.server.measure.rounds import Results
from benchmarks.server.report.chart import draw
from benchmarks.server.report.markdown import render
from benchmarks.server.systems.served_model import ServedModel

LINE = 250


def document(
    results: Results,
    *,
    machine: dict[str, Any],
    served: ServedModel,
    plan: Plan,
    catalogue: str,
    when: datetime,
    minutes: float,
) -> dict[str, Any]:
    """Put all facts and figures of a run into one document, which can be written as JSON.

    Args:
        results: complete results, with the simulations.
        machine: result of :func:`benchmarks.server.report.machine.describe_machine`.
        served: the model that every system served.
        plan: the plan of the run.
        catalogue: name of the catalogue that the requests come from.
        when: end of the run, UTC.
        minutes: length of the run.
    """
    size = served.archive.stat().st_size
    return {
        "when": when.isoformat(timespec="seconds"),
        "minutes": round(minutes, 1),
        "plan": plan.name,
        "rounds": plan.rounds,
        "machine": machine,
        "model": served.description,
        "catalogue": catalogue,
        "workers": served.workers,
        "cap": served.cap,
        "delay_ms": served.delay_ms,
        "weights_bytes": served.weights_bytes,
        "archive_bytes": size,
        "archive_ratio": size / served.weights_bytes,
        "stock_setting": results.stock_setting,
        "stock_rates": results.stock_rates,
        "missing": results.missing,
        "in_process": [_without_single_times(entry) for entry in results.in_process],
        "systems": dict(results.systems),
    }


def write_report(report: dict[str, Any], folder: Path) -> Path:
    """Write ``<date>-<plan>.json``, ``.md`` and ``.png``; return the path of the Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{report['when'][:16].replace(':', '').replace('T', '-')}-{report['plan']}"
    path = folder / f"{stem}.md"
    # Six digits, so that people can read and compare the figures.
    short = json.loads(json.dumps(report), parse_float=lambda digits: float(f"{float(digits):.6g}"))
    (folder / f"{stem}.json").write_text(readable_json(short) + "\n", encoding="utf-8")
    draw(report, folder / f"{stem}.png")
    path.write_text(render(report, chart=f"{stem}.png"), encoding="utf-8")
    return path


def readable_json(value: Any, *, indent: int = 0) -> str:
    """JSON in few lines: a value is one line if it fits in :data:`LINE` characters or holds only plain values."""
    line = json.dumps(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if len(line) <= LINE or not any(isinstance(each, dict | list) for each in inner):
        return line
    start = [f"{json.dumps(name)}: " for name in value] if isinstance(value, dict) else [""] * len(value)
    pad = "\n" + " " * (indent + 1)
    body = ",".join(pad + key + readable_json(each, indent=indent + 1) for key, each in zip(start, inner, strict=True))
    return f"{line[0]}{body}{pad[:-1]}{line[-1]}"


def _without_single_times(entry: dict[str, Any]) -> dict[str, Any]:
    """Replace the time of each batch by their median in an entry of a round in process."""
    medians = {size: 1000 * statistics.median(times) for size, times in entry["batch_seconds"].items()}
    return {**{name: value for name, value in entry.items() if name != "batch_seconds"}, "batch_ms": medians}
