"""Texts with separators: which one, rows of nothing, tables without a header, cells of any length."""

from pathlib import Path

import pytest
from shop_files import cells, picture, read, write

from training.catalog.formats.encoding import MAX_LINE_BYTES
from training.catalog.reading import CatalogError

HEADER = "image,text,label\n"


def with_pictures(folder: Path, *ids: str) -> None:
    (folder / "images").mkdir()
    for number in ids:
        (folder / "images" / f"{number}.jpg").write_bytes(picture())


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("title", ["a, b; c", 'say ""hi""', "one\ntwo", "a|b\tc"])
def test_a_quoted_title_may_hold_every_separator(tmp_path: Path, separator: str, title: str) -> None:
    rows = [["image", "text", "label"], ["a.jpg", f'"{title}"', "Caps"], ["a.jpg", "plain", "Caps"]]
    catalog = read(write(tmp_path, "shop.csv", "\n".join(separator.join(row) for row in rows)))
    assert [text for _, text, _ in cells(catalog)] == [title.replace('""', '"'), "plain"]


def test_commas_in_titles_do_not_outvote_the_separator_of_the_header(tmp_path: Path) -> None:
    lines = ["image;text;label", *[f"a.jpg;one, two, three, {number};Caps" for number in range(50)]]
    assert read(write(tmp_path, "shop.csv", "\n".join(lines)), max_rejected=0).read == 50


def test_a_header_that_two_separators_split_goes_by_the_rows(tmp_path: Path) -> None:
    catalog = read(write(tmp_path, "shop.csv", "image;text;label;a,b,c,d,e\na.jpg;Cap;Caps;1\n"), max_rejected=0)
    assert cells(catalog) == [["a.jpg", "Cap", "Caps"]]


def test_rows_of_separators_alone_are_skipped_and_counted(tmp_path: Path) -> None:
    content = ",,\n" + HEADER + ",,\n , \t,\na.jpg,Cap,Caps\n,,,,,\n,\na.jpg,Hat,Hats\n,,\n"
    catalog = read(write(tmp_path, "shop.csv", content), max_rejected=0)
    assert catalog.read == len(catalog.products) == 2
    assert catalog.products["id"].tolist() == ["5", "8"]
    assert catalog.notes == ["shop.csv: 5 rows of empty cells alone are skipped"]


def test_a_table_of_empty_rows_alone_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="a header and no rows"):
        read(write(tmp_path, "shop.csv", HEADER + ",,\n" * 3))


@pytest.mark.parametrize("rows", ["a.jpg,Cap,Caps\n", "a.jpg,Cap,Caps\na.jpg,Hat,Hats\n"])
def test_a_table_without_a_header_is_said_and_read_with_header(tmp_path: Path, rows: str) -> None:
    path = write(tmp_path, "shop.csv", rows)
    with pytest.raises(CatalogError, match=r"its first line looks like a product.*--header"):
        read(path)
    catalog = read(path, header="image, text,label", max_rejected=0)
    assert catalog.read == rows.count("\n") and cells(catalog)[0] == ["a.jpg", "Cap", "Caps"]
    assert read(Path(catalog.source.path), header=catalog.source.header).products.equals(catalog.products)
    with pytest.raises(CatalogError, match=r"--header names 2 columns, the first row of shop\.csv has 3 cells"):
        read(path, header="image,text")


def test_a_header_may_be_named_for_the_kaggle_layout(tmp_path: Path) -> None:
    with_pictures(tmp_path, "7", "8")
    path = write(tmp_path, "styles.csv", "7,Caps,Navy Cap\n8,Caps,Red Cap\n")
    catalog = read(path, header="id,articleType,productDisplayName", max_rejected=0)
    assert cells(catalog)[0] == ["images/7.jpg", "Navy Cap", "Caps"]


@pytest.mark.parametrize("length", [131_073, 140_000, 3_000_000])
@pytest.mark.parametrize("line_breaks", [False, True])
def test_large_cells_are_read(tmp_path: Path, length: int, line_breaks: bool) -> None:
    description = ("word\n" if line_breaks else "words") * (length // 5)
    content = f'image,text,label,body\na.jpg,Cap,Caps,"{description}"\na.jpg,Hat,Hats,short\n'
    catalog = read(write(tmp_path, "shop.csv", content), max_rejected=0)
    assert catalog.read == 2
    assert catalog.products["id"].tolist()[1] == str(2 + description.count("\n") + 1)


def test_a_quote_that_is_never_closed_fills_no_memory(tmp_path: Path) -> None:
    content = HEADER + 'a.jpg,"Cap,Caps\n' + "a.jpg,Hat and more,Hats\n" * (MAX_LINE_BYTES // 20)
    with pytest.raises(CatalogError, match="line 2: a cell is longer than 16 MiB; is a quote open"):
        read(write(tmp_path, "shop.csv", content))


def test_a_kaggle_table_with_semicolons_keeps_its_titles(tmp_path: Path) -> None:
    with_pictures(tmp_path, "7")
    path = write(tmp_path, "styles.csv", "id;articleType;productDisplayName\n7;Caps;Navy; Large\n")
    assert cells(read(path)) == [["images/7.jpg", "Navy; Large", "Caps"]]
