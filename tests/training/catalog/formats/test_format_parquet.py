"""Pictures inside a Parquet, its part files, and columns that hold no texts."""

import io
import json
import multiprocessing
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from shop_files import picture, read, write

from training.catalog import CatalogSource, open_files, open_rows
from training.catalog.reading import CatalogError

COLOURS = ("navy", "red", "green", "white", "black")
PICTURES = [picture(colour) for colour in COLOURS]
LABELS = {"text": [f"Cap {colour}" for colour in COLOURS], "label": list(COLOURS)}
PAIR = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def forms() -> dict[str, pa.Array]:
    pairs = [{"bytes": each, "path": f"{number}.jpg"} for number, each in enumerate(PICTURES)]
    return {
        "pairs": pa.array(pairs, PAIR),
        "pairs without path": pa.array([{"bytes": each} for each in PICTURES], pa.struct([("bytes", pa.binary())])),
        "pairs, path first": pa.array(pairs, pa.struct([("path", pa.string()), ("bytes", pa.large_binary())])),
        "bytes": pa.array(PICTURES, pa.binary()),
        "large bytes": pa.array(PICTURES, pa.large_binary()),
    }


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("named", [False, True])
def test_pictures_are_read_in_their_rows(tmp_path: Path, form: str, named: bool) -> None:
    column = "photo" if named else "image"
    path = write_parquet(tmp_path / "shop.parquet", {column: forms()[form], **LABELS}, row_group_size=2)
    catalog = read(path, max_rejected=0, **({"image_column": "photo"} if named else {}))
    assert [catalog.image_bytes(name) for name in catalog.products["image"]] == PICTURES
    assert sorted(catalog.products["image"]) == catalog.products["image"].tolist()
    assert catalog.products["label"].tolist() == list(COLOURS)


def test_scoring_sees_them_too(tmp_path: Path) -> None:
    files = open_files(write_parquet(tmp_path / "shop.parquet", {"image": forms()["pairs"], **LABELS}))
    with open_rows(CatalogSource(path="shop.parquet"), files, labelled=False) as (found, rows):
        assert [files.read(row.image) for row in rows] == PICTURES
    assert found.image_column == "image"


def test_a_pair_without_bytes_names_a_file_and_nothing_is_no_picture(tmp_path: Path) -> None:
    write(tmp_path, "other.csv", "")
    pairs = [
        {"bytes": None, "path": "a.jpg"},
        None,
        {"bytes": None, "path": None},
        {"bytes": PICTURES[0], "path": "a.jpg"},
    ]
    broken = [{"bytes": b"", "path": "x"}]
    path = tmp_path / "shop.parquet"
    texts = {"text": ["1", "2", "3", "4", "5"], "label": ["x"] * 5}
    catalog = read(write_parquet(path, {"image": pa.array(pairs + broken, PAIR), **texts}))
    images = catalog.products["image"].tolist()
    assert images[:3] == ["a.jpg", "", ""] and catalog.image_bytes(images[3]) == PICTURES[0]
    assert catalog.rejected[["line", "reason"]].to_numpy().tolist() == [[5, "image_empty"]]


def test_a_broken_picture_is_rejected_with_its_row(tmp_path: Path) -> None:
    pictures = pa.array([PICTURES[0], PICTURES[1][:-200], b"no picture", PICTURES[2]])
    catalog = read(
        write_parquet(tmp_path / "shop.parquet", {"image": pictures, "text": list("abcd"), "label": list("xxyy")})
    )
    assert catalog.rejected[["line", "reason"]].to_numpy().tolist() == [[2, "image_corrupt"], [3, "unsupported_image"]]


def test_a_column_of_pictures_is_found_by_its_content_and_other_bytes_are_named(tmp_path: Path) -> None:
    columns = {"shot": forms()["bytes"], "raw": pa.array([b"1"] * 5), "nested": pa.array([[[1]]] * 5), **LABELS}
    path = write_parquet(tmp_path / "shop.parquet", columns)
    with pytest.raises(CatalogError, match=r"no column 'image'; its columns are 'shot', 'text', 'label'"):
        read(path)
    with pytest.raises(CatalogError, match=r"a column 'nested' is there, but it holds list<.*no text"):
        read(path, text_column="nested", image_column="shot")
    assert len(read(path, image_column="shot").products) == 5


def test_a_column_that_is_no_text_hinders_nobody_who_does_not_ask_for_it(tmp_path: Path) -> None:
    columns = {"image": forms()["bytes"], "took": pa.array([1] * 5, pa.duration("s")), "none": pa.nulls(5), **LABELS}
    path = write_parquet(tmp_path / "shop.parquet", columns)
    assert len(read(path, max_rejected=0).products) == 5
    with pytest.raises(CatalogError, match="names its columns itself: leave out --header"):
        read(path, header="a,b")
    assert read(path, encoding="cp1254").notes == ["--encoding does not concern shop.parquet, which is no text"]


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "label", "label"])
    pq.write_table(table, tmp_path / "shop.parquet")
    with pytest.raises(CatalogError, match=r"has the columns \['label'\] several times"):
        read(tmp_path / "shop.parquet")


def test_lists_of_texts_become_json(tmp_path: Path) -> None:
    columns = {"image": forms()["bytes"], "text": LABELS["text"], "label": [["a", "b"]] * 4 + [None]}
    catalog = read(write_parquet(tmp_path / "shop.parquet", columns))
    assert json.loads(catalog.products["label"][0]) == ["a", "b"]
    assert catalog.rejected["reason"].tolist() == ["label_empty"]


def parts(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        rows = {"text": [f"{number}-1", f"{number}-2"], "label": ["x", "y"]}
        write_parquet(folder / name, {"image": pa.array([picture(COLOURS[number]), PICTURES[4]]), **rows})
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00003.parquet", "train-00001-of-00003.parquet", "train-00002-of-00003.parquet"],
        ["data/part-0.parquet", "data/part-2.parquet", "data/part-10.parquet"],
        ["0.parquet", "1.parquet", "2.parquet"],
        [
            "part-00000-ab1-c000.snappy.parquet",
            "part-00001-ab1-c000.snappy.parquet",
            "part-00002-ab1-c000.snappy.parquet",
        ],
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_part_files_are_one_table_in_their_order(tmp_path: Path, names: list[str], zipped: bool) -> None:
    shop = parts(tmp_path / "shop", names)
    if zipped:
        with zipfile.ZipFile(tmp_path / "shop.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(shop / name, name)
        shop = tmp_path / "shop.zip"
    catalog = read(shop, max_rejected=0)
    assert catalog.products["text"].tolist() == ["0-1", "0-2", "1-1", "1-2", "2-1", "2-2"]
    assert catalog.products["id"].tolist() == [str(row + 1) for row in range(6)]
    assert catalog.image_bytes(catalog.products["image"][4]) == picture(COLOURS[2])
    assert len({open_files(shop).fingerprint(), open_files(shop).fingerprint()}) == 1


def test_a_part_that_is_missing_or_of_another_table_is_an_error(tmp_path: Path) -> None:
    shop = parts(tmp_path / "shop", ["train-00000-of-00003.parquet", "train-00001-of-00003.parquet"])
    with pytest.raises(CatalogError, match="holds 2 of 3 parts"):
        read(shop)
    write_parquet(shop / "train-00002-of-00003.parquet", {"text": ["a"]})
    with pytest.raises(CatalogError, match=r"train-00002-of-00003\.parquet lacks the columns \['image', 'label'\]"):
        read(shop)


def test_parquets_of_other_names_are_too_many(tmp_path: Path) -> None:
    shop = parts(tmp_path / "shop", ["train-0.parquet", "test-0.parquet"])
    with pytest.raises(CatalogError, match=r"2 Parquets \(test-0\.parquet, train-0\.parquet\): give the one"):
        read(shop)


def read_pictures(catalog: Any) -> list[bytes]:
    return [catalog.image_bytes(name) for name in catalog.products["image"]]


def test_threads_and_processes_read_pictures_at_once(tmp_path: Path) -> None:
    catalog = read(write_parquet(tmp_path / "shop.parquet", {"image": forms()["pairs"], **LABELS}))
    assert pickle.loads(pickle.dumps(catalog)).image_bytes(catalog.products["image"][3]) == PICTURES[3]
    with multiprocessing.get_context("fork").Pool(2) as processes, ThreadPoolExecutor(4) as threads:
        others = processes.map_async(read_pictures, [catalog] * 2)
        assert [*threads.map(read_pictures, [catalog] * 4), *others.get(timeout=120)] == [PICTURES] * 6


def test_a_large_picture_is_refused_by_its_size(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(stream, "PNG")
    files = open_files(
        write_parquet(tmp_path / "shop.parquet", {"image": pa.array([stream.getvalue()]), "text": ["x"]})
    )
    with open_rows(CatalogSource(path=""), files, labelled=False) as (_, rows):
        [row] = rows
    with pytest.raises(CatalogError, match=r"image_too_large: .* has more than 0\.001 MB"):
        files.read(row.image, limit=1000)
