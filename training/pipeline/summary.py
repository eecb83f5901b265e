"""The record of a run that has just been trained and measured."""

import resource
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from training.data.corrections import read_corrections
from training.data.splits import split_hash
from training.run.context import Run
from training.run.data import RunData
from training.run.record import ProductCounts, RunRecord, SplitCounts


def summarize_run(run: Run, metrics: dict[str, Any], seconds: Mapping[str, float], *, baseline: str) -> RunRecord:
    """The record of a run whose models are all trained.

    Args:
        run: the run.
        metrics: on the test part, by model, attribute and name of the metric.
        seconds: seconds of each stage.
        baseline: the baseline's name in ``metrics``.
    """
    data, options = run.data, run.data.options
    return RunRecord(
        source=data.catalog.source,
        attributes=data.attributes,
        hierarchies=tuple(hierarchy.attributes for hierarchy in data.hierarchies),
        seed=options.seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=" ".join(["python -m training", *sys.argv[1:]]),
        arguments=options.as_dict(),
        device=run.device,
        products=_products(data),
        split=SplitCounts(
            kind=options.split,
            hash=split_hash(data.split),
            train=len(data.rows("train")),
            validation=len(data.rows("validation")),
            test=len(data.rows("test")),
        ),
        models=tuple(name for name in metrics if name != baseline),
        seconds={stage: round(value, 1) for stage, value in seconds.items()},
        peak_memory_gib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        metrics=metrics,
    )


def _products(data: RunData) -> ProductCounts:
    corrections = data.options.corrections
    return ProductCounts(
        read=data.catalog.read,
        used=len(data.catalog.products),
        rejected=len(data.catalog.rejected),
        sampled=len(data.products),
        corrected=None if corrections is None else len(read_corrections(corrections)),
    )
