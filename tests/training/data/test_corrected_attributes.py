"""The attributes of a corrected product, such as a shoe that was labelled Tops: as evidence, and as targets."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from handlers.product_serving.settings import Attribute, Hierarchy
from training.catalog.reading import CatalogSource, attribute_column, read_catalog
from training.data.attributes import MISSING
from training.data.corrected_attributes import corrected_cells, corrected_targets, reliable_targets, replace_attributes
from training.data.corrections import Correction, reapply_corrections
from training.run.data import RunData, open_products, prepare, write_tables
from training.run.options import TrainOptions

HEADS = [
    Attribute(name="type", labels=("Sandals", "Sneakers", "Tops")),
    Attribute(name="group", labels=("Footwear", "Topwear")),
    Attribute(name="gender", labels=("Men", "Women")),
]
NAMES = [head.name for head in HEADS]
FOLLOWS = Hierarchy(attributes=("type", "group"), combinations=((0, 0), (1, 0), (2, 1)))


def correction(id: str, label: str, column: str = "") -> Correction:
    return Correction(2, id, column, "", label)


def test_corrected_cells_are_marked() -> None:
    corrections = [correction("a", "Tops"), correction("c", "Men", "gender"), correction("elsewhere", "Tops")]
    assert corrected_cells(corrections, ["a", "b", "c"], NAMES).tolist() == [
        [True, False, False],
        [False, False, False],
        [False, False, True],
    ]


def test_uncorrected_values_of_a_corrected_product_are_no_evidence() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [2, 1, 1], [0, 1, 1]])
    corrected = np.array([[True, False, True], [False] * 3, [False] * 3, [True, False, False]])
    found = reliable_targets(targets, corrected).tolist()
    assert found[:3] == [[1, MISSING, 0], [1, 0, 0], [2, 1, 1]]
    assert found[3] == [0, 1, 1], "no other product says what follows from that label"


@pytest.mark.parametrize(
    ("values", "corrected", "expected"),
    [
        ([1, 1, 0], "type", [1, 0, 0]),
        ([1, MISSING, 0], "type", [1, 0, 0]),
        ([1, 1, 0], "gender", [1, 1, 0]),
        ([1, 1, 0], "type group", [1, 1, 0]),
        ([2, 0, 0], "group", [2, 0, 0]),
    ],
)
def test_attributes_of_a_corrected_product_fit_its_label(
    values: list[int], corrected: str, expected: list[int]
) -> None:
    cells = np.array([[name in corrected.split() for name in NAMES]])
    assert corrected_targets(np.array([values]), cells, HEADS, [FOLLOWS]).tolist() == [expected]


def test_a_finer_attribute_stays_only_if_it_fits_the_corrected_label() -> None:
    heads = [HEADS[1], HEADS[0]]
    targets = np.array([[0, 2], [0, 1], [1, 0]])
    cells = np.array([[True, False]] * 3)
    assert corrected_targets(targets, cells, heads, [FOLLOWS]).tolist() == [[0, MISSING], [0, 1], [1, 2]]


def test_only_changed_values_are_written() -> None:
    group, gender = attribute_column("group"), attribute_column("gender")
    columns = {"label": ["b", "b", "c"], group: ["Topwear", "Hats", "Topwear"], gender: ["Men", "", "Men"]}
    products = pd.DataFrame(columns, dtype="str")
    before = np.array([[1, 1, 0], [1, MISSING, MISSING], [2, 1, 0]])
    after = np.array([[1, 0, 0], [1, MISSING, MISSING], [2, MISSING, 0]])
    found = replace_attributes(products, HEADS, before=before, after=after)
    assert found[group].tolist() == ["Footwear", "Hats", ""] and found[gender].tolist() == ["Men", "", "Men"]
    assert found["label"].tolist() == ["b", "b", "c"]


@pytest.fixture(scope="module")
def source(drawn_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> CatalogSource:
    """Titles of the drawn catalogue with a department, the one of dresses if a product is wrongly labelled."""
    path = tmp_path_factory.mktemp("wrong") / "wrong.csv"
    with drawn_catalogue.open(encoding="utf-8") as file:
        rows = [{**row, "id": str(number), "image": ""} for number, row in enumerate(csv.DictReader(file))]
    wrong = [row for row in rows if row["label"] == "Backpacks"][:6]
    for row in wrong:
        row["label"] = "Dresses"
    for row in rows:
        row["department"] = "Apparel" if row["label"] == "Dresses" else "Accessories"
        row["colour"] = ("Red", "Blue", "Green")[int(row["id"]) % 3]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "image", "text", "label", "department", "colour"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    corrected = "".join(f"{row['id']},label,Backpacks\n" for row in wrong)
    (path.parent / "corrections.csv").write_text(f"id,column,label\n{corrected}0,colour,Blue\n", encoding="utf-8")
    return CatalogSource(path=str(path), label_column="label,department,colour")


def corrected_run(options: Callable[..., TrainOptions], source: CatalogSource, out: Path) -> RunData:
    chosen = options(source=source, corrections=Path(source.path).parent / "corrections.csv", out=out)
    data = prepare(chosen, *open_products(chosen))
    write_tables(out, data)
    return data


def test_corrected_products_get_consistent_attributes(
    options: Callable[..., TrainOptions], source: CatalogSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = corrected_run(options, source, tmp_path)
    said = capsys.readouterr().out
    assert "corrections: 6 labels corrected, to Backpacks 6" in said
    assert "corrections of colour: 1 labels corrected, to Blue 1" in said
    [found] = data.hierarchies
    assert found.attributes == ("label", "department")
    of = dict(found.combinations)
    labels, names = (attribute.labels for attribute in data.attributes[:2])
    assert names[of[labels.index("Backpacks")]] == "Accessories"
    assert names[of[labels.index("Dresses")]] == "Apparel"
    backpacks = data.products[data.products["label"] == "Backpacks"]
    assert len(backpacks) == 10 and set(backpacks[attribute_column("department")]) == {"Accessories"}
    assert data.products.set_index("id")[attribute_column("colour")]["0"] == "Blue"


def test_corrections_are_applied_again_to_a_catalogue_that_is_read_again(
    options: Callable[..., TrainOptions], source: CatalogSource, tmp_path: Path
) -> None:
    data = corrected_run(options, source, tmp_path)
    read = read_catalog(source).products
    again = reapply_corrections(tmp_path, read, target="label")
    pd.testing.assert_frame_equal(again, data.products)
    alone = read.drop(columns=attribute_column("colour"))
    assert reapply_corrections(tmp_path, alone, target="label")["label"].tolist() == data.products["label"].tolist()
