"""Corrected labels: applying them, refusing wrong ones with a message, and keeping them in a run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from training.__main__ import main
from training.catalog.reading import CatalogError, attribute_column
from training.data.corrections import (
    CORRECTIONS_FILE,
    apply_corrections,
    corrections_hash,
    read_corrections,
    reapply_corrections,
    summary,
    with_columns,
    without_confirmations,
)
from training.run.data import open_products, prepare, write_tables
from training.run.options import TrainOptions

Options = Callable[..., TrainOptions]
PRODUCTS = pd.DataFrame({"id": ["a", "b", "c"], "label": ["Shoes", "Bags", "Shoes"]}, dtype="str")
HEADER = "id,column,given,label\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "corrections.csv"
    path.write_text(text, encoding="utf-8")
    return path


def applied(folder: Path, text: str) -> list[str]:
    corrections = read_corrections(written(folder, text))
    return apply_corrections(PRODUCTS, corrections, columns=["kind"], name="corrections.csv")["label"].tolist()


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "b,kind,Bags,Shoes\n",
        "\ufefflabel,id\r\nShoes,b\r\n\r\n",
        'id,given,label\n"b",,"Shoes"\n',
    ],
)
def test_a_correction_changes_only_its_label(tmp_path: Path, text: str) -> None:
    assert applied(tmp_path, text) == ["Shoes", "Shoes", "Shoes"]
    assert PRODUCTS["label"].tolist() == ["Shoes", "Bags", "Shoes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "holds no correction"),
        ("", "no column 'id', 'label'"),
        ("id,colour\na,red\n", "unknown columns 'colour'; known are id, column, given, label"),
        ("id\na\n", "no column 'label'; it needs id and label"),
        ("id,label,label\na,Bags,Bags\n", "a column twice"),
        ("id,label\na\n", "line 2: 1 cells, the header has 2"),
        ("id,label\na,\n", "line 2: the label is empty"),
        ("id,label\na,Bags\nb,Shoes\na,Hats\n", "lines 2 and 4 correct the same label of 'a'"),
        ("id,label\nz,Bags\nb,Shoes\n", r"1 products that are not in the catalogue.*'z' \(line 2\)"),
        ("id,label\na,Shoes\n", r"changes nothing in 1 products.*'a' \(line 2\)"),
        (HEADER + "a,colour,Shoes,Bags\n", "corrects the column 'colour', but 'kind' is trained"),
        (HEADER + "a,kind,Hats,Bags\n", "'a' was 'Hats' and is 'Shoes'"),
        (HEADER + "a,kind,,Bags\na,,,Hats\n", "lines 2 and 3 correct the same label of 'a'"),
    ],
)
def test_corrections_that_cannot_be_applied_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        applied(tmp_path, text)


def test_lines_that_confirm_a_label_are_left_out_beside_others(tmp_path: Path) -> None:
    text = HEADER + "a,,,Shoes\nb,kind,,Hats\n"
    named = with_columns(read_corrections(written(tmp_path, text)), ["kind"])
    assert [each.id for each in without_confirmations(PRODUCTS, named, columns=["kind"])] == ["b"]
    alone = without_confirmations(PRODUCTS, named[:1], columns=["kind"])
    with pytest.raises(CatalogError, match="changes nothing in 1 products"):
        apply_corrections(PRODUCTS, alone, columns=["kind"], name="corrections.csv")


SEVERAL = PRODUCTS.assign(**{attribute_column("gender"): pd.Series(["Men", "", "Women"], dtype="str")})


def several(folder: Path, text: str) -> pd.DataFrame:
    corrections = read_corrections(written(folder, HEADER + text))
    return apply_corrections(SEVERAL, corrections, columns=["kind", "gender"], name="corrections.csv")


def test_a_further_attribute_is_corrected_in_its_own_column(tmp_path: Path) -> None:
    found = several(tmp_path, "a,gender,Men,Women\na,,Shoes,Bags\nb,gender,,Men\nc,gender,Women,NA\n")
    assert found["label"].tolist() == ["Bags", "Bags", "Shoes"]
    assert found[attribute_column("gender")].tolist() == ["Women", "Men", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,colour,,Red\n", "the column 'colour', but 'kind', 'gender' are trained"),
        ("z,gender,,Men\n", r"1 products that are not in the catalogue.*'z' \(line 2\)"),
        ("a,gender,,Men\n", r"changes nothing in 1 products.*'a' \(line 2\)"),
        ("b,gender,,NA\n", r"changes nothing in 1 products.*'b' \(line 2\)"),
        ("a,gender,Women,Unisex\n", "'a' was 'Women' and is 'Men'"),
        ("a,gender,,Women\na,gender,,Unisex\n", "lines 2 and 3 correct the same label of 'a'"),
    ],
)
def test_wrong_corrections_of_a_further_attribute_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        several(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"none\.csv cannot be read"):
        read_corrections(tmp_path / "none.csv")
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"id,label\na,\xff\n")
    with pytest.raises(CatalogError, match=r"broken\.csv cannot be read"):
        read_corrections(broken)


def test_the_summary_counts_and_names_new_classes(tmp_path: Path) -> None:
    corrections = read_corrections(written(tmp_path, "id,label\na,Bags\nc,Bags\nb,Hats\n"))
    assert summary(corrections, PRODUCTS["label"]) == "3 labels corrected, to Bags 2, Hats 1; new classes: Hats"


def test_the_hash_depends_only_on_the_corrections(tmp_path: Path) -> None:
    first = corrections_hash(written(tmp_path, "id,label\na,Bags\nb,Shoes\n"))
    assert corrections_hash(written(tmp_path, "label,id\nShoes,b\n\nBags,a\n")) == first
    assert corrections_hash(written(tmp_path, "id,label\na,Bags\n")) != first


def test_options_without_corrections_do_not_mention_them(options: Options, tmp_path: Path) -> None:
    plain, path = options(), written(tmp_path, "id,label\na,Bags\n")
    assert "corrections" not in plain.as_dict()
    corrected = dataclasses.replace(plain, corrections=path)
    assert corrected.as_dict() == {**plain.as_dict(), "corrections": corrections_hash(path)}


def test_a_run_trains_on_the_corrected_labels_and_keeps_them(
    options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_products(options())[0].products
    product, given = before.loc[3, ["id", "label"]]
    right = next(label for label in before["label"].unique() if label != given)
    path = written(tmp_path, f"id,column,given,label\n{product},label,{given},{right}\n")
    chosen = options(corrections=path, out=tmp_path / "run")
    data = prepare(chosen, *open_products(chosen))
    assert f"corrections: 1 labels corrected, to {right} 1 ({path})" in capsys.readouterr().out
    assert data.products.set_index("id")["label"][product] == right
    assert (data.products["label"] != before["label"]).sum() == 1
    write_tables(chosen.out, data)
    split = pd.read_csv(chosen.out / "split.csv", dtype=str).set_index("id")
    assert split["label"][product] == right and (chosen.out / CORRECTIONS_FILE).read_text() == path.read_text()
    pd.testing.assert_frame_equal(reapply_corrections(chosen.out, before, target="label"), data.catalog.products)
    assert reapply_corrections(tmp_path / "none", before, target="label") is before


def test_a_refused_file_can_be_fixed_and_used_again(
    drawn_catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused run leaves no folder."""
    arguments = ["train", "--data", str(drawn_catalogue), "--out", str(tmp_path / "run"), "--corrections"]
    assert main([*arguments, str(written(tmp_path, "id,label\nnobody,Shoes\n"))]) == 1
    assert main([*arguments, str(written(tmp_path, "id,label\nno one,Shoes\n"))]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "'nobody' (line 2)" in errors[0] and "'no one' (line 2)" in errors[-1]
