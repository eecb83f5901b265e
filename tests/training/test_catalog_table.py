"""Splitting a CSV into rows: whatever the bytes, rows with line numbers or a CatalogError that names the line."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.catalog_files import CatalogError
from training.catalog_table import Table, read_table

STYLES = b"id,articleType,productDisplayName\n"


def table(content: bytes) -> Table:
    return read_table(content, name="products.csv", image_column="image")


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
        ("image,text,label\na.jpg,Müll,Caps\n".encode("latin-1"), "line 2: byte 0xfc is no UTF-8; save it as UTF-8"),
        ("image,text,label\na.jpg,Cap,Caps\n".encode("utf-16"), "line 1: byte 0xff is no UTF-8"),
        (b'image,text,label\na.jpg,"Cap,Caps\nb.jpg,Cap,Caps\n', "line 2: the quote opened there is never closed"),
        (b'"image"x,text,label\na.jpg,Cap,Caps\n', "line 1, the header"),
    ],
)
def test_what_is_no_csv_is_an_error_that_says_where(content: bytes, message: str) -> None:
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
def test_no_bytes_end_in_anything_but_rows_or_an_error_with_a_message(content: bytes) -> None:
    for start in (b"", b"image,text,label\n", STYLES):
        try:
            header, rows, _ = table(start + content)
        except CatalogError as error:
            assert "products.csv" in str(error)
        else:
            assert all(row.fault is not None or len(row.cells) == len(header) for row in rows)
            assert [row.line for row in rows] == sorted({row.line for row in rows})
