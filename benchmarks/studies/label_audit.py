"""Measure precision and recall of a label audit: damage labels on purpose and count those that it finds.

    python -m benchmarks.studies.label_audit fashion.zip --labels articleType --products 2000 --out build/label_audit \\
        -- --image-encoder efficientnet_lite0 --text-encoder minilm --image-epochs 0 --text-epochs 3

It writes the figures to ``label_audit.json`` and ``label_audit.md``. There are two ways:

- In training: train on a catalogue with damaged labels, as a user would. Then audit it with the answers of models that
  have not seen the product (``client audit --run``). Labels of training, validation and test products are damaged, so
  the models also stop early and calibrate on wrong labels. Options behind ``--`` go to ``training train``. An existing
  run is not trained again.
- By a server: ``--audit FOLDER`` names the ``--out`` folder of a ``client audit``. The model must not have been trained
  on that catalogue. Its answers do not depend on the labels, so all damages are judged with the same answers.

A label that was wrong before the damage counts as a false finding. So the precisions are lower bounds.

- ``contradicted``: another class has a higher mean probability over picture, title and both.
- ``clear``: contradicted, and wrong according to confident learning.
- ``first n``: precision, and so recall, of the first n findings; n is the number of damaged labels.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from benchmarks.server.report import summary
from benchmarks.studies.sampled_catalogue import LABEL, Sampled, sample_products, write_damaged
from client.audit.catalog_labels import read_labels
from client.audit.finding_kinds import MODALITIES_DIFFER
from client.audit.findings import AuditAnswers, Finding, find_label_errors
from client.audit.modality_answers import read_answers
from client.audit.run_answers import read_record, read_run_answers
from training.catalog import CatalogSource
from training.data.label_noise import damage_labels

SHARES = (0.05, 0.1, 0.2)
CROSS_FIT = 2


def measure_answers(answers: AuditAnswers, *, share: float, seed: int) -> dict[str, Any]:
    """Damage labels and look for them with answers that do not depend on the labels.

    Args:
        answers: answers for products with their original labels.
        share: share of the labels to damage, 0..1.
        seed: of the damage.

    Returns:
        The result of :func:`judge`, with ``share`` and ``seed``.
    """
    given = damage_labels(answers.given.tolist(), share=share, seed=seed)
    wrong = {row["id"] for row, old, new in zip(answers.rows, answers.given, given, strict=True) if old != new}
    return {"share": share, "seed": seed, **judge(dataclasses.replace(answers, given=given), wrong)}


def measure_training(sampled: Sampled, folder: Path, *, share: float, seed: int, more: Sequence[str]) -> dict[str, Any]:
    """Train on damaged labels and look for them with the answers of models that have not seen the product.

    Args:
        sampled: the products.
        folder: output folder for the run.
        share: share of the labels to damage, 0..1.
        seed: of the damage and of the run.
        more: further options of ``training train``.

    Returns:
        The result of :func:`judge`, with ``share`` and ``seed``.
    """
    table, wrong = write_damaged(sampled, share=share, seed=seed)
    run = folder / f"run-{table.stem}"
    own = ["--data", table, "--target", LABEL, "--out", run, "--seed", seed, "--cross-fit", CROSS_FIT]
    command = [sys.executable, "-m", "training", "train", *map(str, own), *more]
    subprocess.run(command, check=True, stdout=sys.stderr)
    answers = read_run_answers([read_record(run)]).answers
    used = {row["id"] for row in answers.rows}
    return {"share": share, "seed": seed, **judge(answers, wrong & used)}


def judge(answers: AuditAnswers, wrong: Collection[str]) -> dict[str, Any]:
    """Compare the findings of an audit with the damaged labels.

    Args:
        answers: answers for products with the damaged labels.
        wrong: ids of the products with a damaged label.

    Returns:
        ``products``, ``damaged``, ``first_n`` and, for ``contradicted`` and ``clear`` each, ``found``, ``precision``,
        ``recall``.
    """
    found = [each for each in find_label_errors(answers) if each.kind != MODALITIES_DIFFER]
    return {
        "products": len(answers.rows),
        "damaged": len(wrong),
        "first_n": sum(each.id in wrong for each in found[: len(wrong)]) / len(wrong),
        "contradicted": _hits(found, wrong),
        "clear": _hits([each for each in found if each.clear], wrong),
    }


def _hits(found: Sequence[Finding], wrong: Collection[str]) -> dict[str, float]:
    hits = sum(each.id in wrong for each in found)
    return {"found": len(found), "precision": hits / len(found) if found else 1.0, "recall": hits / len(wrong)}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Write the means over the seeds as a Markdown table."""
    head = ["labels damaged", "contradicted: precision", "recall", "clear: precision", "recall", "first n: precision"]
    figures = ["contradicted.precision", "contradicted.recall", "clear.precision", "clear.recall", "first_n"]
    rows = [
        [f"{runs['share'].iloc[0]:.0%} (n = {runs['damaged'].iloc[0]:,})", *(f"{x:.3f}" for x in runs[figures].mean())]
        for _, runs in pd.json_normalize(list(results)).groupby("share")
    ]
    return summary.table(head, rows)


def main() -> None:
    """Measure, print the tables and write JSON and Markdown."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, more = _parser().parse_args(arguments[:end]), arguments[end + 1 :]
    source = CatalogSource(path=str(options.catalog), label_column=options.labels, id_column=options.id_column)
    options.out.mkdir(parents=True, exist_ok=True)
    found = {}
    if options.audit is not None:
        answers = read_answers(options.audit, read_labels(source))
        runs = [(share, seed) for share in options.shares for seed in range(options.seeds)]
        bar = tqdm(runs, desc="by the server", unit="damage", disable=None)
        found["By a server's answers"] = [measure_answers(answers, share=share, seed=seed) for share, seed in bar]
    if options.training:
        sampled = sample_products(
            source, options.out / "catalogue", count=options.products, min_class=options.min_class
        )
        found["In training, out of fold"] = [
            measure_training(sampled, options.out, share=share, seed=seed, more=more)
            for seed in range(options.training_seeds)
            for share in options.shares
        ]
    record = {"labels": options.labels, "training_options": more, "results": found}
    (options.out / "label_audit.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    text = "\n".join(
        f"## {title}\n\n{results[0]['products']:,} products; damages of each share: "
        f"{len({each['seed'] for each in results})}.\n\n{table(results)}\n"
        for title, results in found.items()
    )
    (options.out / "label_audit.md").write_text(text, encoding="utf-8")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        usage="python -m benchmarks.studies.label_audit CATALOG --labels COLUMN --out FOLDER [...] "
        "[-- TRAINING_OPTION ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("catalog", metavar="CATALOG", help="catalogue whose labels are mostly right")
    parser.add_argument("--labels", required=True, metavar="COLUMN", help="column of the labels")
    parser.add_argument("--id-column", metavar="NAME", help="column of the ids (default: id if present, else the line)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="output folder for the figures and the runs"
    )
    parser.add_argument(
        "--shares", type=float, nargs="+", default=SHARES, help="shares of labels to damage (default: %(default)s)"
    )
    server = parser.add_argument_group("by a server")
    server.add_argument("--audit", type=Path, metavar="FOLDER", help="output folder of an audit of this catalogue")
    server.add_argument(
        "--seeds", type=int, default=5, metavar="N", help="how often to damage each share (default: %(default)s)"
    )
    train = parser.add_argument_group("in training")
    train.add_argument("--training", action=argparse.BooleanOptionalAction, default=True, help="measure in training")
    train.add_argument("--products", type=int, metavar="N", help="number of products to draw (default: all)")
    train.add_argument(
        "--min-class", type=int, default=10, metavar="N", help="leave out smaller classes (default: %(default)s)"
    )
    train.add_argument(
        "--training-seeds", type=int, default=1, metavar="N", help="runs for each share (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    main()
