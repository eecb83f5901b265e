"""Which models a run trains where pictures or titles are rare, and that what it trains is exported and reported."""

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from export.__main__ import main as export_main
from export.run_products import read_run_products
from training.catalog.reading import CatalogError, CatalogSource, read_catalog
from training.evaluation.evaluate import evaluate_run
from training.models import MODELS
from training.pipeline.training_run import train_run
from training.reporting.report import write_report
from training.run.options import TrainOptions
from training.run.record import read_run
from training.run.trainable import trainable_options

Options = Callable[..., TrainOptions]
PARTS = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
NONE, ALL = "0000000000", "1111111111"
TITLES = [name for name, head in MODELS.items() if head.modalities == ("text",)]


def chosen(options: TrainOptions, pictures: str, titles: str) -> tuple[str, ...]:
    """The models that are trained if these products (1) have a picture, and these a title."""
    ids = [str(number) for number in range(10)]
    image, text = (
        [name if digit == "1" else "" for digit in digits] for digits, name in ((pictures, "a"), (titles, "b"))
    )
    products = pd.DataFrame({"id": ids, "image": image, "text": text})
    return trainable_options(options, products, pd.DataFrame({"id": ids[::-1], "part": PARTS[::-1]})).models


@pytest.mark.parametrize(
    ("there", "models", "said"),
    [
        ((ALL, ALL), list(MODELS), ""),
        ((NONE, ALL), TITLES, "no product has a picture"),
        ((ALL, NONE), ["image"], "no product has a title"),
        (("1110000000", ALL), TITLES, "3 of 10 products have a picture (3 in train, 0 in validation, 0 in test)"),
        (("0000001111", ALL), TITLES, "4 of 10 products have a picture (0 in train, 2 in validation, 2 in test)"),
        ((ALL, "1111110011"), ["image"], "8 of 10 products have a title (6 in train, 0 in validation, 2 in test)"),
        (("1000001010", ALL), list(MODELS), ""),
        (("1010101010", "0101010101"), list(MODELS), "no test product has both"),
    ],
)
def test_a_model_needs_its_modalities_in_each_part(
    options: Options, capsys: pytest.CaptureFixture[str], there: tuple[str, str], models: list[str], said: str
) -> None:
    assert list(chosen(options(), *there)) == models
    printed = capsys.readouterr().out
    assert said in printed and bool(said) == bool(printed)


@pytest.mark.parametrize(
    ("wanted", "pictures", "titles", "advice"),
    [
        (("image",), NONE, ALL, "train --models text"),
        (("early", "late"), NONE, ALL, "train --models text"),
        (("text",), ALL, NONE, "train --models image"),
        (tuple(MODELS), "1110000000", "0001110000", "add products that have both"),
    ],
)
def test_a_run_that_can_train_nothing_is_refused(
    options: Options, wanted: tuple[str, ...], pictures: str, titles: str, advice: str
) -> None:
    with pytest.raises(CatalogError, match=advice):
        chosen(options(models=wanted), pictures, titles)


def catalogue(folder: Path, drawn: Path, has: Callable[[int], tuple[bool, bool]]) -> CatalogSource:
    """The drawn catalogue, with pictures and titles where ``has`` says so."""
    (folder / "images").mkdir(parents=True)
    with drawn.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    kept = []
    for number, (image, text, label) in enumerate(rows):
        picture, title = has(number)
        if picture:
            (folder / image).hardlink_to(drawn.parent / image)
        kept.append([image if picture else "", text if title else "", label])
    with (folder / "shop.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    return CatalogSource(path=str(folder / "shop.csv"))


@pytest.mark.parametrize(
    ("has", "models"),
    [
        pytest.param(lambda _: (False, True), TITLES, id="no pictures"),
        pytest.param(lambda _: (True, False), ["image"], id="no titles"),
        pytest.param(lambda number: (number == 7, True), TITLES, id="one picture"),
        pytest.param(lambda number: (number % 2 == 0, number % 2 == 1), list(MODELS), id="never both"),
    ],
)
def test_what_can_be_trained_is_measured_reported_and_archived(
    options: Options,
    drawn_catalogue: Path,
    tmp_path: Path,
    has: Callable[[int], tuple[bool, bool]],
    models: list[str],
) -> None:
    source = catalogue(tmp_path / "shop", drawn_catalogue, has)
    run = train_run(options(source=source))
    assert list(read_run(run).models) == models
    assert list(evaluate_run(run, source, part="test", robustness=True)["models"]) == [*models, "baseline"]
    assert write_report([run], out=tmp_path / "report").is_file()
    assert export_main(["--run", str(run), "--store", str(tmp_path / "store"), "--model", models[-1]]) == 0


def test_a_run_is_resumed_with_the_models_that_it_could_train(
    options: Options, drawn_catalogue: Path, tmp_path: Path
) -> None:
    same = options(source=catalogue(tmp_path / "shop", drawn_catalogue, lambda _: (False, True)))
    run = train_run(same)
    (run / "run.json").unlink()
    assert train_run(same) == run
    assert list(read_run(run).models) == TITLES


def test_a_sample_to_verify_on_has_the_few_products_with_a_picture(
    options: Options, drawn_catalogue: Path, tmp_path: Path
) -> None:
    source = catalogue(tmp_path / "shop", drawn_catalogue, lambda number: (number % 9 == 0, True))
    run = train_run(options(source=source, models=("text",), head_epochs=1, text_epochs=0))
    for seed in range(5):
        sample = read_run_products(run, limit=2, seed=seed).products
        assert len(sample) == 2 and sample["image"].any()


@pytest.mark.parametrize(
    ("model", "table"),
    [
        ("text", ("text,label", "{title},{label}")),
        ("text", ("image,text,label", "gone/{number}.jpg,{title},{label}")),
        ("text", ("id,gender,productDisplayName,articleType", "{number},Men,{title},{label}")),
        ("image", ("image,label", "{image},{label}")),
    ],
    ids=["no column of pictures", "no picture files", "Kaggle's table alone", "no column of titles"],
)
def test_a_model_of_one_modality_needs_no_column_of_the_other(
    options: Options,
    drawn_catalogue: Path,
    tmp_path: Path,
    model: str,
    table: tuple[str, str],
) -> None:
    source = catalogue(tmp_path, drawn_catalogue, lambda _: (True, True))
    with Path(source.path).open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    lines = [table[1].format(number=n, image=i, title=t, label=each) for n, (i, t, each) in enumerate(rows)]
    Path(source.path).write_text("\n".join([table[0], *lines]) + "\n", encoding="utf-8")
    run = train_run(options(source=source, models=(model,), head_epochs=1, text_epochs=0))
    assert list(evaluate_run(run, source, part="test")["models"]) == [model, "baseline"]
    assert len(read_run_products(run, limit=None).products) == 15


def test_no_catalogue_is_read_without_pictures_and_titles(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("label\nShoes\n", encoding="utf-8")
    source = CatalogSource(path=str(tmp_path / "shop.csv"), image_column="", text_column="")
    with pytest.raises(CatalogError, match="a picture or a title"):
        read_catalog(source)
