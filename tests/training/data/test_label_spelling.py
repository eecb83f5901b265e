"""One class that is spelled several ways, and cells that mean "no value"."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from export.run_products import read_run_products
from training.catalog.labels import label_value, merged_spellings, twins
from training.catalog.reading import CatalogSource, read_catalog
from training.data.label_spelling import with_one_spelling
from training.evaluation.evaluate import evaluate_run
from training.pipeline.training_run import train_run
from training.run.options import TrainOptions
from training.run.record import read_run


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("Shirts", "Shirts"),
        ("  Shirts\t", "Shirts"),
        ("T\u00a0 Shirts", "T Shirts"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("\u200bShirts\ufeff", "Shirts"),
        ("Shi\u00adrts\u200f", "Shirts"),
        ("Shi\u200crts\u200d", "Shirts"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\U0001f469\u200d\U0001f466", "\U0001f469\u200d\U0001f466"),
        ("shirts", "shirts"),
        *((cell, "") for cell in ("", " ", "NA", "n/a", "NaN", "Null", "#N/A", "<NA>", "\u200bNA")),
        *((cell, cell) for cell in ("None", "Nano", "-", "0", "Nanny")),
    ],
)
def test_what_nobody_sees_makes_no_class(cell: str, label: str) -> None:
    assert label_value(cell) == label == label_value(label)


def test_twins_differ_only_in_case() -> None:
    counts = {
        "shirts": 3,
        "Shirts": 40,
        "SHIRTS": 3,
        "Shoes": 9,
        "\u0130pek": 2,
        "ipek": 1,
        "Stra\u00dfe": 1,
        "STRASSE": 2,
    }
    groups = twins(counts)
    assert groups == [["Shirts", "SHIRTS", "shirts"], ["STRASSE", "Stra\u00dfe"], ["\u0130pek", "ipek"]]
    assert merged_spellings(groups)["shirts"] == "Shirts"
    assert twins({"T-Shirts": 1, "T Shirts": 1}) == []


def shop(folder: Path, drawn: Path) -> CatalogSource:
    """The drawn catalogue; every fifth label is in capitals, each tenth kind means no value."""
    with drawn.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    kinds = ["wide", "Wide", "narrow", "narrow", "NA"]
    table = [
        [str(drawn.parent / image) and "", text, label.upper() if number % 5 == 0 else label, kinds[number % 5]]
        for number, (image, text, label) in enumerate(rows)
    ]
    path = folder / "shop.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*header, "kind"], *table, ["", "Red shirt", "N/A", "wide"]])
    return CatalogSource(path=str(path), label_column="label,kind")


def test_twins_are_named_with_their_counts(
    drawn_catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = read_catalog(shop(tmp_path, drawn_catalogue), max_rejected=0.1)
    [rejected] = catalog.rejected.itertuples()
    assert rejected.reason == "label_empty" and "'N/A', which means that there is none" in rejected.detail
    assert with_one_spelling(catalog, merge=False) is catalog
    told = capsys.readouterr().out
    assert (
        "'Shoes' (8), 'SHOES' (2)" in told or "'Caps' (8), 'CAPS' (2)" in told or "--merge-labels merges them" in told
    )
    assert "'Wide' (20), 'wide' (20)" in told
    assert "20 products have no value of 'kind'" in told


def test_merged_labels_stay_merged_wherever_the_catalogue_is_read_again(
    options: Callable[..., TrainOptions], drawn_catalogue: Path, tmp_path: Path
) -> None:
    source = shop(tmp_path, drawn_catalogue)
    chosen = options(source=source, merge_labels=True, models=("text",), head_epochs=1, text_epochs=0)
    run = train_run(chosen)
    record = read_run(run)
    assert [len(attribute.labels) for attribute in record.attributes] == [10, 2]
    test = read_run_products(run, limit=None).products
    assert set(test["label"]) <= set(record.main.labels)
    result = evaluate_run(run, source)
    assert result["unknown_labels"] == {} and result["products"] == 100
