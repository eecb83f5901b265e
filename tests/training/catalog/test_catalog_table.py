"""Reading a table: any bytes give rows with line numbers, or a CatalogError that names the line."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.catalog.files import CatalogError
from training.catalog.table import MAX_LINE_BYTES, CatalogTable, escape_formula, open_table

STYLES = b"id,articleType,productDisplayName\n"


def table(content: bytes) -> CatalogTable:
    opened = open_table(io.BytesIO(content), name="products.csv", image_column="image")
    return opened._replace(rows=list(opened.rows))


@pytest.mark.parametrize(
    "content",
    [
        b"image,text,label\na.jpg,Cap,Caps\n",
        b"\xef\xbb\xbfimage,text,label\r\na.jpg,Cap,Caps\r\n",
        b"image, text ,label\ra.jpg,Cap,Caps",
        b"\n\nimage,text,label\n\na.jpg,Cap,Caps,,\n\n",
    ],
    ids=["plain", "bom and crlf", "cr", "blank lines and trailing commas"],
)
def test_usual_ways_of_writing_a_csv_read_alike(content: bytes) -> None:
    header, rows, is_kaggle = table(content)
    assert list(header) == ["image", "text", "label"]
    assert [list(row.cells) for row in rows] == [["a.jpg", "Cap", "Caps"]]
    assert not is_kaggle


def test_lines_are_those_of_the_file_where_rows_start() -> None:
    content = b'image,text,label\n\na.jpg,"two\nlines",Caps\nb.jpg,Cap\n"c"x,Cap,Caps\nd.jpg,Cap,Caps\n'
    rows = table(content).rows
    assert [row.line for row in rows] == [3, 5, 6, 7]
    assert [row.fault is None for row in rows] == [True, False, False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \n\n", "is empty"),
        (b"image,text,label\n", "a header and no rows"),
        (b"image,text,label\na.jpg,C\x00ap,Caps\n", "line 2: holds a NUL byte"),
        ("image,text,label\na.jpg,Шапка,Caps\n".encode("cp1251"), "line 2: byte 0xd8 is no UTF-8; save it as UTF-8"),
        (b'image,text,label\na.jpg,"Cap,Caps\nb.jpg,Cap,Caps\n', "line 2: the quote opened there is never closed"),
        (b'"image"x,text,label\na.jpg,Cap,Caps\n', "line 1, the header"),
    ],
)
def test_a_broken_csv_is_an_error_that_names_the_line(content: bytes, message: str) -> None:
    with pytest.raises(CatalogError, match=r"^products\.csv") as caught:
        table(content)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("7,Caps,Navy Cap", "Navy Cap"),
        ("7,Caps,Navy Cap, Large, New", "Navy Cap, Large, New"),
        ('7,Caps,"Navy Cap, Large"', "Navy Cap, Large"),
        ('7,Caps,7" Navy Cap, Large', '7" Navy Cap, Large'),
        ('7,Caps,"Navy" Cap, Large', '"Navy" Cap, Large'),
        ('7,Caps,"Navy Cap', '"Navy Cap'),
        ("7,Caps,Navy\x0bCap\u2028Large", "Navy\x0bCap\u2028Large"),
    ],
)
def test_kaggle_titles_keep_their_commas_and_quotes(line: str, title: str) -> None:
    _, rows, is_kaggle = table(STYLES + line.encode() + b"\n8,Caps,Red Cap\n")
    assert is_kaggle
    assert [list(row.cells) for row in rows] == [["7", "Caps", title], ["8", "Caps", "Red Cap"]]
    assert [row.line for row in rows] == [2, 3]


def test_the_kaggle_title_need_not_come_last() -> None:
    rows = table(b"id,productDisplayName,articleType\n7,Navy Cap, Large,Caps\n").rows
    assert rows[0].cells == ["7", "Navy Cap, Large", "Caps"]


def test_a_table_with_an_image_column_is_no_kaggle_table() -> None:
    rows = table(b"id,image,productDisplayName\n7,a.jpg,Navy Cap, Large\n").rows
    assert rows[0].fault is not None and "has 4 cells, the header 3" in rows[0].fault.detail


@given(st.one_of(st.binary(max_size=200), st.text('a,"\n\r;\t é', max_size=200).map(str.encode)))
@example(STYLES + b'1,a,"')
def test_any_bytes_give_rows_or_an_error_with_a_message(content: bytes) -> None:
    for start in (b"", b"image,text,label\n", STYLES):
        try:
            header, rows, _ = table(start + content)
        except CatalogError as error:
            assert "products.csv" in str(error)
        else:
            assert all(row.fault is not None or len(row.cells) == len(header) for row in rows)
            assert [row.line for row in rows] == sorted({row.line for row in rows})


def test_rows_are_read_lazily(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"image,text,label\n" + b"a.jpg,Cap,Caps\n" * 100_000)
    with path.open("rb") as stream:
        rows = iter(open_table(stream, name=path.name, image_column="image").rows)
        assert [next(rows).line for _ in range(3)] == [2, 3, 4]
        assert stream.tell() < 100_000


def test_a_line_without_end_is_no_csv() -> None:
    with pytest.raises(CatalogError, match="line 2: longer than 16 MiB"):
        table(b"image,text,label\n" + b"x" * MAX_LINE_BYTES)


def test_a_parquet_reads_as_its_csv_does(tmp_path: Path) -> None:
    columns = {
        "id": pa.array([7, None, 9]),
        "text": pa.array(["Cap", None, 'Navy, "Large"']).dictionary_encode(),
        "pixels": pa.array([[1], [2], [3]]),
        "raw": pa.array([b"1", b"2", b"3"]),
        "price": pa.array([1.0, 2.5, None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "shop.parquet")
    with (tmp_path / "shop.parquet").open("rb") as stream:
        header, rows, is_kaggle = open_table(stream, name="shop.parquet", image_column="image")
        found = list(rows)
    assert list(header) == ["id", "text", "price"] and not is_kaggle
    assert [(row.line, tuple(row.cells)) for row in found] == [
        (1, ("7", "Cap", "1")),
        (2, ("", "", "2.5")),
        (3, ("9", 'Navy, "Large"', "")),
    ]


@pytest.mark.parametrize("content", [b"", b"PAR1 and not much more"])
def test_a_broken_parquet_is_an_error_that_says_so(content: bytes) -> None:
    with pytest.raises(CatalogError, match=r"^shop\.parquet cannot be read as a Parquet"):
        open_table(io.BytesIO(content), name="shop.parquet", image_column="image")


def test_a_parquet_without_rows_is_an_error() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), stream)
    with pytest.raises(CatalogError, match="a header and no rows"):
        list(open_table(stream, name="shop.parquet", image_column="image").rows)


def test_text_of_a_parquet_that_is_no_utf8_is_an_error_that_says_where() -> None:
    stream = io.BytesIO()
    text = pa.array([b"Cap", b"Caf\xe9"]).view(pa.string())
    pq.write_table(pa.table({"id": [1, 2], "text": text}), stream)
    table = open_table(stream, name="shop.parquet", image_column="image")
    with pytest.raises(
        CatalogError, match=r"^shop\.parquet, behind row 0, column 'text': byte 0xe9 is no UTF-8; write"
    ):
        list(table.rows)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\r=1"])
def test_a_formula_is_not_run(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Shoes", "-17", "+4.5", "a=b", "'quoted'"])
def test_other_texts_and_numbers_stay(text: str) -> None:
    assert escape_formula(text) == text
