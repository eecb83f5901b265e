"""How many wrong labels an audit finds, and how many of its findings are right: labels are damaged on purpose.

    python -m benchmarks.studies.label_audit fashion.zip --labels articleType --products 2000 --out build/label_audit \\
        -- --image-encoder efficientnet_lite0 --text-encoder minilm --image-epochs 0 --text-epochs 3

Two answers to the question, in ``label_audit.json`` and ``label_audit.md``:

- In training: a catalogue with damaged labels is trained on as a user would, and audited by what models say of products
  that they have not seen (``client audit --run``). Training, validation and test products all have wrong labels, and so
  all that the models learn from, stop by and are calibrated with. Options behind ``--`` go to ``training train``.
  A run that is there already is not trained again.
- By a server (``--audit FOLDER``, ``--out`` of a ``client audit`` of a catalogue that the model was not trained on):
  those answers do not depend on the labels, so they are read once, and every damage is judged by them.

Labels that were wrong before count as falsely found, so the precisions are lower bounds.

- ``contradicted``: another class is more probable, on the mean over picture, title and both.
- ``clear``: those of them that confident learning takes for wrong.
- ``first n``: precision (and so recall) among the n most suspect, n being the number of damaged labels.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

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
    """Damage labels and look for them by answers that do not depend on them.

    Args:
        answers: of products with their own labels.
        share: of the labels to damage, 0..1.
        seed: of the damage.

    Returns:
        As :func:`judge`.
    """
    given = damage_labels(answers.given.tolist(), share=share, seed=seed)
    wrong = {row["id"] for row, old, new in zip(answers.rows, answers.given, given, strict=True) if old != new}
    damaged = AuditAnswers(answers.rows, given, answers.labels, answers.probabilities)
    return {"share": share, "seed": seed, **judge(damaged, wrong)}


def measure_training(sampled: Sampled, folder: Path, *, share: float, seed: int, more: Sequence[str]) -> dict[str, Any]:
    """Train on damaged labels and look for them by what models say of products that they have not seen.

    Args:
        sampled: the products.
        folder: gets the run.
        share: of the labels to damage, 0..1.
        seed: of the damage and of the run.
        more: options of ``training train``.

    Returns:
        As :func:`judge`.
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
    """Findings beside what was damaged.

    Args:
        answers: with the damaged labels.
        wrong: ids of the products whose label was damaged.

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
    """The results as Markdown: means over the seeds."""
    lines = [
        "| labels damaged | contradicted: precision | recall | clear: precision | recall | right among the first n |",
        "|---|---|---|---|---|---|",
    ]
    for share in sorted({each["share"] for each in results}):
        runs = [each for each in results if each["share"] == share]
        cells = [
            statistics.mean(each[kind][value] for each in runs)
            for kind in ("contradicted", "clear")
            for value in ("precision", "recall")
        ]
        cells.append(statistics.mean(each["first_n"] for each in runs))
        lines.append(
            f"| {share:.0%} (n = {runs[0]['damaged']:,}) | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, write JSON and Markdown."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, more = _parser().parse_args(arguments[:end]), arguments[end + 1 :]
    source = CatalogSource(path=str(options.catalog), label_column=options.labels, id_column=options.id_column)
    options.out.mkdir(parents=True, exist_ok=True)
    found = {}
    if options.audit is not None:
        answers = read_answers(options.audit, read_labels(source))
        runs = [(share, seed) for share in options.shares for seed in range(options.seeds)]
        shown = tqdm(runs, desc="by the server", unit="damage", disable=None)
        found["By a server's answers"] = [measure_answers(answers, share=share, seed=seed) for share, seed in shown]
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
    text = "\n".join(_section(title, results) for title, results in found.items())
    (options.out / "label_audit.md").write_text(text, encoding="utf-8")
    print(text)


def _section(title: str, results: Sequence[dict[str, Any]]) -> str:
    damages = len({each["seed"] for each in results})
    return f"## {title}\n\n{results[0]['products']:,} products, {damages} damages of each share.\n\n{table(results)}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        usage="python -m benchmarks.studies.label_audit CATALOG --labels COLUMN --out FOLDER [...] "
        "[-- TRAINING_OPTION ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("catalog", metavar="CATALOG", help="with labels that are mostly right")
    parser.add_argument("--labels", required=True, metavar="COLUMN", help="its labels")
    parser.add_argument("--id-column", metavar="NAME", help="default: id where there is one, else the line")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the figures and the runs")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="to damage (default: %(default)s)")
    server = parser.add_argument_group("by a server")
    server.add_argument("--audit", type=Path, metavar="FOLDER", help="--out of an audit of this catalogue")
    server.add_argument(
        "--seeds", type=int, default=5, metavar="N", help="damages of each share (default: %(default)s)"
    )
    train = parser.add_argument_group("in training")
    train.add_argument("--training", action=argparse.BooleanOptionalAction, default=True, help="train; else not")
    train.add_argument("--products", type=int, metavar="N", help="sampled at random (default: all)")
    train.add_argument("--min-class", type=int, default=10, metavar="N", help="smallest class (default: %(default)s)")
    train.add_argument("--training-seeds", type=int, default=1, metavar="N", help="runs of each share")
    return parser


if __name__ == "__main__":
    main()
