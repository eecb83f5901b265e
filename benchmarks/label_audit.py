"""How many wrong labels an audit finds, and how many of its findings are right: labels are damaged on purpose.

    python -m client audit new.csv --labels articleType --out audit
    python -m benchmarks.label_audit new.csv --labels articleType --audit audit --out label_audit.json

The answers of an audit do not depend on the labels: they are read once, and every damage is judged by them. The
catalogue must hold no product that the model was trained on. What is wrong in it already counts as falsely found, so
that the precisions are lower bounds.

- ``contradicted``: another class is more probable, on the mean over picture, title and both.
- ``clear``: those of them that confident learning takes for wrong.
- ``first n``: precision (and so recall) among the n most suspect, n being the number of damaged labels.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from client.audit.findings import Answers, Finding, find, read_answers
from client.audit.kinds import SIDES_DIFFER
from client.audit.labels import read_labels
from training.catalog_rows import CatalogSource
from training.label_noise import damage_labels

SHARES = (0.05, 0.1, 0.2)


def measure(answers: Answers, *, share: float, seed: int) -> dict[str, Any]:
    """Damage labels and look for them.

    Args:
        answers: of products with their own labels.
        share: of the labels to damage, 0..1.
        seed: of the damage.

    Returns:
        ``damaged``, ``first_n`` and, for ``contradicted`` and ``clear`` each, ``found``, ``precision``, ``recall``.
    """
    given = damage_labels(answers.given.tolist(), share=share, seed=seed)
    wrong = {row["line"] for row, old, new in zip(answers.rows, answers.given, given, strict=True) if old != new}
    classes = sorted(_classes(answers))
    found = [each for each in find(Answers(answers.rows, given, answers.tops), classes) if each.kind != SIDES_DIFFER]
    first = found[: len(wrong)]
    return {
        "share": share,
        "seed": seed,
        "damaged": len(wrong),
        "first_n": sum(each.line in wrong for each in first) / len(wrong),
        "contradicted": _hits(found, wrong),
        "clear": _hits([each for each in found if each.clear], wrong),
    }


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
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", metavar="CATALOG", help="that was audited")
    parser.add_argument("--labels", required=True, metavar="COLUMN", help="its labels")
    parser.add_argument("--audit", type=Path, required=True, metavar="FOLDER", help="--out of the audit")
    parser.add_argument("--id-column", metavar="NAME", help="as in the audit")
    parser.add_argument(
        "--seeds", type=int, default=5, metavar="N", help="damages of each share (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON with every single result")
    options = parser.parse_args()
    source = CatalogSource(path=options.catalog, label_column=options.labels, id_column=options.id_column)
    answers = read_answers(options.audit, read_labels(source))
    runs = [(share, seed) for share in SHARES for seed in range(options.seeds)]
    results = [measure(answers, share=share, seed=seed) for share, seed in tqdm(runs, unit="damage", disable=None)]
    print(
        f"{len(answers.given):,} products, {len(set(answers.given)):,} classes, {options.seeds} damages of each share"
    )
    print(table(results))
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _classes(answers: Answers) -> set[str]:
    listed = {entry.label for tops in answers.tops.values() for top in tops if top is not None for entry in top}
    return listed | set(answers.given.tolist())


def _hits(found: Sequence[Finding], wrong: set[int]) -> dict[str, float]:
    hits = sum(each.line in wrong for each in found)
    return {"found": len(found), "precision": hits / len(found) if found else 1.0, "recall": hits / len(wrong)}


if __name__ == "__main__":
    main()
