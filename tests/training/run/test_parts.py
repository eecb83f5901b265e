"""The parts of a run with corrections are those of the run without: corrected labels move no product."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from training.run.data import open_products
from training.run.options import TrainOptions
from training.run.parts import draw_folds, draw_split

Options = Callable[..., TrainOptions]


def corrected(options: TrainOptions, folder: Path, rows: dict[int, str]) -> TrainOptions:
    """The options with corrections of some products of the catalogue."""
    products = open_products(options)[0].products
    lines = [f"{products['id'][row]},{label}\n" for row, label in rows.items()]
    (folder / "corrections.csv").write_text("id,label\n" + "".join(lines), encoding="utf-8")
    return dataclasses.replace(options, corrections=folder / "corrections.csv")


def parts(split: pd.DataFrame) -> dict[str, str]:
    return dict(zip(split["id"], split["part"], strict=True))


def exchanged(options: TrainOptions) -> dict[int, str]:
    """Every seventh product gets the label of the product before it, if that is another."""
    labels = open_products(options)[0].products["label"].tolist()
    return {row: labels[row - 1] for row in range(1, len(labels), 7) if labels[row - 1] != labels[row]}


@pytest.mark.parametrize("kind", ["stratified", "grouped"])
def test_corrections_move_no_product(options: Options, tmp_path: Path, kind: str) -> None:
    before = options(split=kind)
    rows = exchanged(before)
    after = corrected(before, tmp_path, rows)
    assert len(rows) > 5
    old, new = (draw_split(chosen, *open_products(chosen)) for chosen in (before, after))
    assert parts(old) == parts(new) and old["group"].tolist() == new["group"].tolist()
    assert (old["label"] != new["label"]).sum() == len(rows)
    folds = [list(draw_folds(chosen, *open_products(chosen), folds=3)) for chosen in (before, after)]
    assert [parts(each) for each in folds[0]] == [parts(each) for each in folds[1]]


def test_a_product_that_a_correction_brings_in_is_trained_on(options: Options, tmp_path: Path) -> None:
    every = open_products(options())[0].products["label"]
    classes = sorted(set(every))[:3]
    before = options(classes=tuple(classes))
    outside, inside = int(every.index[~every.isin(classes)][0]), int(every.index[every == classes[0]][0])
    left_out = next(label for label in every if label not in classes)
    after = corrected(before, tmp_path, {outside: classes[1], inside: left_out})
    old, new = (draw_split(chosen, *open_products(chosen)) for chosen in (before, after))
    [came], [went] = set(parts(new)) - set(parts(old)), set(parts(old)) - set(parts(new))
    assert parts(new)[came] == "train" and went
    assert {id: part for id, part in parts(old).items() if id != went} == {
        id: part for id, part in parts(new).items() if id != came
    }


def test_a_class_that_only_corrections_name_is_trained_on(
    options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = options()
    split = draw_split(before, *open_products(before))
    row = int(split.index[split["part"] == "test"][0])
    after = corrected(before, tmp_path, {row: "Umbrellas"})
    found = draw_split(after, *open_products(after)).set_index("label")
    assert found.loc["Umbrellas", "part"] == "train"
    assert "classes that no training product had before the corrections" in capsys.readouterr().out
