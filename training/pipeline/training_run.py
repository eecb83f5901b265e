"""A training run from catalogue to run folder: towers, cached features, heads, results.

Every stage writes its result to the run folder. A stage with a result is skipped, so an interrupted run continues where
it stopped. ``run.json`` is written last.
"""

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from training.catalog.reading import Catalog
from training.data.corrections import read_corrections
from training.data.splits import PARTS, split_hash
from training.features.batches import Features
from training.models import HEADS, ProductClassifier, joined_encoders
from training.pipeline.conflicts import fit_conflict
from training.pipeline.cross_fitting import Fold, fusion_features, training_parts, write_out_of_fold
from training.pipeline.fusions import train_fusion, weigh_corrections, weigh_fusion
from training.pipeline.results import Calibrated, calibrate, restore_frequencies, write_attention, write_result
from training.pipeline.towers import Tower, cross_fitted_tower, require_weights, train_tower
from training.run.checkpoint import RunError, run_lock
from training.run.context import Run
from training.run.data import RunData, open_products, prepare, write_tables
from training.run.folder import kept_if_begun
from training.run.options import TrainOptions
from training.run.parts import draw_folds, draw_split
from training.run.record import ProductCounts, RunRecord, SplitCounts, write_run_record
from training.run.stages import Stages
from training.run.trainable import trainable_options
from training.scores.attribute_metrics import summarize_predicted
from training.scores.baseline import fit_predict
from training.system.device import choose_device
from training.system.processes import broadcast_from_main, main_first
from training.system.rank import is_main_process
from training.system.storage import write_arrays, write_json

BASELINE = "baseline"


def train_run(options: TrainOptions) -> Path:
    """Train one run, or finish an interrupted one.

    Returns:
        The run folder, complete.

    Raises:
        RunError: the folder belongs to a run with other options.
        CatalogError: the catalogue cannot be used.
        WeightsError: pretrained weights are not available.
    """
    with kept_if_begun(options.out), run_lock(options.out):
        if not broadcast_from_main(lambda: _is_complete(options)):
            catalog, products = broadcast_from_main(lambda: open_products(options))
            broadcast_from_main(lambda: require_weights(options))
            _train(
                options, catalog, products, split=broadcast_from_main(lambda: draw_split(options, catalog, products))
            )
    return options.out


def cross_validate(options: TrainOptions, folds: int) -> list[Path]:
    """Train a run for each fold, in ``fold-1``, ``fold-2``, ... of ``options.out``; each product is tested once.

    Raises:
        As :func:`train_run`.
    """
    runs = []
    with kept_if_begun(options.out), run_lock(options.out):
        catalog, products = broadcast_from_main(lambda: open_products(options))
        broadcast_from_main(lambda: require_weights(options))
        splits = broadcast_from_main(lambda: list(draw_folds(options, catalog, products, folds=folds)))
        for number, split in enumerate(splits, 1):
            fold = dataclasses.replace(options, out=options.out / f"fold-{number}")
            if not broadcast_from_main(partial(_is_complete, fold)):
                print(f"fold {number} of {folds}")
                _train(fold, catalog, products, split=split)
            runs.append(fold.out)
    return runs


def _is_complete(options: TrainOptions) -> bool:
    """Write the options to the folder, or compare them with those of an earlier start; True if the run is complete.

    Raises:
        RunError: the folder holds a run with other options.
    """
    record = options.out / "options.json"
    begun = record.is_file() and (options.out / "split.csv").is_file()  # before that, nothing depends on the options
    if begun and not options.match(json.loads(record.read_text(encoding="utf-8"))):
        raise RunError(
            f"{options.out} holds a run with other options ({record}); choose another --out, or remove that folder"
        )
    write_json(record, options.as_dict())
    if (options.out / "run.json").is_file():
        print(f"{options.out} is complete; nothing to train")
        return True
    return False


def _train(options: TrainOptions, catalog: Catalog, products: pd.DataFrame, *, split: pd.DataFrame) -> None:
    seconds: dict[str, float] = {}
    options = broadcast_from_main(lambda: trainable_options(options, products, split))
    with _timed(seconds, "prepare"), main_first():
        data = prepare(options, catalog, products, split)
        write_tables(options.out, data)
    run = Run(data, choose_device(options.precision), Stages(options.out / "state"))
    print(_opening(run))
    metrics = _train_models(run, seconds)
    if not is_main_process():
        return
    with _timed(seconds, "baseline"):
        metrics[BASELINE] = _baseline(data)
    write_run_record(options.out, summarize_run(run, metrics, seconds, baseline=BASELINE))


def _train_models(run: Run, seconds: dict[str, float]) -> dict[str, Any]:
    """Train all models, single models before fusions; returns the test metrics by model."""
    models = run.data.options.models
    towers: dict[str, Tower] = {}
    answers: dict[str, Calibrated] = {}
    metrics: dict[str, Any] = {}

    def finish(name: str, classifier: ProductClassifier, history: list[Any]) -> None:
        restore_frequencies(run, classifier.head)
        features = run.held_out_features(classifier)
        weigh_corrections(run, classifier.head, features)
        conflict = fit_conflict(run, classifier.head, features)
        answers[name] = calibrate(run, name, classifier, features, conflict)
        metrics[name] = write_result(run, name, classifier, answers[name], history)
        write_attention(run, name, classifier.head, features)

    for name in run.data.options.towers:
        with _timed(seconds, name):
            towers[name] = train_tower(run, name)
            finish(name, towers[name].classifier, towers[name].history)
    fusions = [name for name in HEADS if name in models and len(HEADS[name].towers) > 1]
    if learned := [name for name in fusions if not HEADS[name].from_validation]:
        features = _fusion_features(run, towers, seconds)
        for name in learned:
            with _timed(seconds, name):
                finish(name, *train_fusion(run, name, towers, features))
    for name in fusions:
        if HEADS[name].from_validation:
            with _timed(seconds, name):
                finish(name, weigh_fusion(name, towers, answers), [])
    return metrics


def _fusion_features(run: Run, towers: Mapping[str, Tower], seconds: dict[str, float]) -> Features:
    options = run.data.options
    folds: list[Fold] = []
    if options.cross_fit:
        parts = training_parts(run.data.split, parts=options.cross_fit, seed=options.seed)
        fitted = {}
        for name in towers:
            with _timed(seconds, f"{name}-folds"):
                fitted[name] = cross_fitted_tower(run, name, parts)
        folds = [
            Fold(rows, {name: models[number] for name, models in fitted.items()}) for number, rows in enumerate(parts)
        ]
    with _timed(seconds, "features"):
        features = fusion_features(run, joined_encoders({n: t.classifier for n, t in towers.items()}), folds)
    if folds:
        with _timed(seconds, "out of fold"):
            write_out_of_fold(run, folds)
    return features


def _baseline(data: RunData) -> dict[str, Any]:
    """Train and test TF-IDF with a linear SVM on the title; returns its metrics by attribute."""
    texts, targets = data.products["text"].to_numpy(dtype=str), data.targets
    train, test = data.rows("train"), data.rows("test")
    predicted = fit_predict(texts[train].tolist(), targets[train], texts[test].tolist())
    ids = data.products["id"].to_numpy(dtype=str)[test]
    write_arrays(data.options.out / BASELINE / "test.npz", ids=ids, truth=targets[test], predicted=predicted)
    return summarize_predicted(predicted, targets[test], data.attributes)


def _opening(run: Run) -> str:
    parts = ", ".join(f"{len(run.data.rows(part))} {part}" for part in PARTS)
    classes = ", ".join(f"{len(attribute.labels)} of {attribute.name}" for attribute in run.data.attributes)
    follow = [f"{each.attributes[0]} determines {' and '.join(each.attributes[1:])}" for each in run.data.hierarchies]
    return (
        f"products: {parts}; classes: {classes}\n"
        + (f"in the training products {'; '.join(follow)}\n" if follow else "")
        + f"device: {run.device.name}, {'bf16' if run.device.bf16 else 'fp32'} ({run.device.reason})\n"
        f"results: {run.data.options.out}"
    )


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - started


def summarize_run(run: Run, metrics: dict[str, Any], seconds: Mapping[str, float], *, baseline: str) -> RunRecord:
    """The record of a run whose models are all trained.

    Args:
        metrics: on the test part, by model, attribute and name of the metric.
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
        products=ProductCounts(
            read=data.catalog.read,
            used=len(data.catalog.products),
            rejected=len(data.catalog.rejected),
            sampled=len(data.products),
            corrected=None if options.corrections is None else len(read_corrections(options.corrections)),
        ),
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
