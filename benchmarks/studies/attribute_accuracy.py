"""Compare the accuracy of one run with several attributes with that of one run for each attribute.

    python -m training train --data fashion.zip --target articleType,gender,season --split grouped --out runs/all
    python -m training train --data fashion.zip --target gender --split grouped --out runs/gender        (and so on)
    python -m benchmarks.studies.attribute_accuracy fashion.zip --several runs/all --single runs/gender runs/season \
        --out build/attributes.json

Runs with different targets split a catalogue differently. So each pair is compared on the products of groups from which
*neither* run has a training or validation product; with ``--train-share`` those are most products. The labels are those
that a server answers: in a hierarchy, the most probable combination. Differences are judged as in a report.

The training products of the two runs differ too. The last column shows the effect of this: the difference between two
fits of TF-IDF and a linear SVM on the training products of each run.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from handlers.product_serving.hierarchy import chosen_labels
from training.catalog.reading import Catalog, attribute_column, read_catalog
from training.data.splits import product_groups
from training.evaluation.baseline import read_split
from training.evaluation.measured_products import GroupFeatures, MeasuredProducts
from training.evaluation.model_groups import load_groups
from training.run.record import read_run
from training.scores.baseline import fit_predict
from training.scores.metrics import RunPredictions, paired_bootstrap, verdict
from training.system.device import choose_device

TARGET = -0.005


def unseen_rows(runs: Sequence[Path], products: pd.DataFrame, groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark (N,) the products of groups from which no run has a training or validation product.

    Args:
        runs: run folders of this catalogue.
        products: N rows with ``id``.
        groups: (N,) group of each product.
    """
    splits = [read_split(run) for run in runs]
    seen = pd.concat([split.loc[split["part"] != "test", "id"] for split in splits])
    return ~np.isin(groups, groups[products["id"].isin(seen).to_numpy()])


def drawn_rows(count: int, wanted: int | None) -> NDArray[np.bool_]:
    """Mark (count,) ``wanted`` random rows; all rows if it is None or larger than ``count``."""
    return np.random.default_rng(0).permutation(count) < (count if wanted is None else wanted)


def answers(run: Path, catalog: Catalog, products: pd.DataFrame, *, model: str) -> pd.DataFrame:
    """Return the label that a server would answer for each of N products: a column for each attribute.

    Args:
        run: folder of a complete run.
        catalog: catalogue with the pictures.
        products: N rows of the catalogue.
        model: name of a model of the run.
    """
    group = load_groups(run, [model])[0]
    settings, everything = group.settings[model], np.arange(len(products))
    measured = MeasuredProducts(catalog, products, np.zeros((len(products), 1), np.int64), everything)
    device = choose_device(read_run(run).arguments["precision"])
    with tempfile.TemporaryDirectory(prefix="attribute-accuracy-") as folder:
        features = GroupFeatures(group, measured, device=device, folder=Path(folder))
        scores = group.scores(features.put_together(), device=device)[model]
    labels = zip(settings.attributes, chosen_labels(scores, settings).T, strict=True)
    return pd.DataFrame({each.name: np.array(each.labels, dtype=object)[codes] for each, codes in labels})


def by_words(
    runs: Sequence[Path], products: pd.DataFrame, labels: "pd.Series[str]", rows: NDArray[np.bool_]
) -> list[float]:
    """Fit TF-IDF and a linear SVM on the training products of each run; return the accuracies in percent.

    Args:
        runs: run folders of this catalogue.
        products: N rows with ``id`` and ``text``.
        labels: N labels; "" stands for none.
        rows: (N,) marks the products to test; all have a label.
    """
    titles, found = products["text"], []
    codes, names = pd.factorize(labels, sort=True)
    for run in runs:
        split = read_split(run)
        train = products["id"].isin(split.loc[split["part"] == "train", "id"]) & labels.ne("")
        predicted = fit_predict(titles[train].tolist(), codes[train, None], titles[rows].tolist())
        found.append(100 * float((labels[rows] == names[predicted[:, 0]]).mean()))
    return found


def compare(truth: Sequence[str], several: Sequence[str], single: Sequence[str], groups: Any) -> dict[str, Any]:
    """Return both accuracies in percent, and their difference in points with its interval and verdict.

    Args:
        truth: N true labels.
        several: N labels from the run with several attributes.
        single: N labels from the run with this attribute.
        groups: (N,) int64, group of each product.
    """
    codes, labels = pd.factorize(np.concatenate([truth, several, single]))
    true, *predicted = codes.reshape(3, -1)
    boot = paired_bootstrap([RunPredictions(true, np.stack(predicted), groups, len(labels))])
    difference = boot.difference("accuracy", 0, 1)
    return {
        "products": len(truth),
        "several": 100 * float((predicted[0] == true).mean()),
        "single": 100 * float((predicted[1] == true).mean()),
        "difference": 100 * difference.mean,
        "low": 100 * difference.low,
        "high": 100 * difference.high,
        "verdict": verdict(difference),
        "within_target": round(difference.mean, 9) >= TARGET,
    }


def main() -> None:
    """Compare the runs, print a table and write JSON."""
    options = _parser().parse_args()
    catalog = read_catalog(dataclasses.replace(read_run(options.several).source, path=str(options.catalog)))
    groups = product_groups(catalog, catalog.products)
    drawn = drawn_rows(len(catalog.products), options.products)
    unseen = {run: drawn & unseen_rows([options.several, run], catalog.products, groups) for run in options.single}
    chosen = np.logical_or.reduce(list(unseen.values()))
    served = answers(options.several, catalog, catalog.products[chosen].reset_index(drop=True), model=options.model)
    served.index = pd.Index(np.flatnonzero(chosen))
    results = {}
    for run in tqdm(options.single, desc="runs", unit="run"):
        name = read_run(run).main.name
        column = "label" if name == catalog.source.label_column else attribute_column(name)
        labels = catalog.products[column].fillna("")
        known = unseen[run] & labels.ne("").to_numpy()
        products = catalog.products[known].reset_index(drop=True)
        alone = answers(run, catalog, products, model=options.model).iloc[:, 0].tolist()
        several = served.loc[np.flatnonzero(known), name].tolist()
        words = by_words([options.several, run], catalog.products, labels, known)
        results[name] = {
            **compare(labels[known].tolist(), several, alone, groups[known]),
            "several_by_words": words[0],
            "single_by_words": words[1],
        }
    record = {"catalogue": options.catalog.name, "model": options.model, "attributes": results}
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(table(results))


def table(results: dict[str, dict[str, Any]]) -> str:
    """Write the results as a Markdown table."""
    lines = [
        "| attribute | products | several, accuracy % | alone, accuracy % | difference | 95 % interval | verdict "
        "| difference of TF-IDF |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    lines += [
        f"| {name} | {each['products']:,} | {each['several']:.1f} | {each['single']:.1f} | {each['difference']:+.1f} | "
        f"{each['low']:+.1f} … {each['high']:+.1f} | {each['verdict']} | "
        f"{each['several_by_words'] - each['single_by_words']:+.1f} |"
        for name, each in results.items()
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.attribute_accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("catalog", type=Path, metavar="CATALOG", help="catalogue that the runs were trained on")
    parser.add_argument("--several", type=Path, required=True, metavar="RUN", help="run with several attributes")
    parser.add_argument(
        "--single", type=Path, nargs="+", required=True, metavar="RUN", help="runs with one attribute each"
    )
    parser.add_argument("--products", type=int, help="number of products to draw from the catalogue (default: all)")
    parser.add_argument("--model", default="late", help="model of the runs (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file for the figures")
    return parser


if __name__ == "__main__":
    main()
