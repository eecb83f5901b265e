"""A table with corrected labels: in its own format, everything else as it was, and nothing overwritten."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.styles import Font
from shop_files import picture

from training.catalog.corrected import CorrectedTable, write_corrected
from training.catalog.formats.errors import CatalogError
from training.catalog.source import CatalogSource

LINES = [
    "id,text,label,sex",
    'a1,"Cap, navy",Caps,Men',
    'a2,"Gömlek ""Größe"" 42","Shirts",',
    "a3, Shoe  ,Shoes ,Women",
    'a4,"two',
    'lines",Caps,',
    "",
    "a5,,Caps,Men",
]
CORRECTIONS = 'id,column,given,label\na2,label,Shirts,Caps\na3,label,,Shirts\na4,label,Caps,"Hats, warm"\na4,sex,,Men\n'


def correct(
    folder: Path, table: Path, corrections: str = CORRECTIONS, *, out: str = "out", **options: object
) -> CorrectedTable:
    (folder / "corrections.csv").write_text(corrections, encoding="utf-8")
    replace = bool(options.pop("replace", False))
    source = CatalogSource(path=str(table), image_column="", **options)  # type: ignore[arg-type]
    return write_corrected(source, folder / "corrections.csv", folder / f"{out}{table.suffix}", replace=replace)


def with_corrections(text: str, end: str, separator: str = ",") -> str:
    """The lines as they should be."""
    quote = '"' if separator in "Hats, warm" else ""
    return (
        text.replace(f'{separator}"Shirts"{separator}', f'{separator}"Caps"{separator}')
        .replace(f"{separator}Shoes {separator}", f"{separator}Shirts{separator}")
        .replace(
            f'lines"{separator}Caps{separator}{end}', f'lines"{separator}{quote}Hats, warm{quote}{separator}Men{end}'
        )
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1254"])
@pytest.mark.parametrize("last", ["", "end"])
def test_only_the_cells_of_a_csv_change(tmp_path: Path, end: str, encoding: str, last: str) -> None:
    text = end.join(LINES) + (end if last else "")
    table = tmp_path / "shop.csv"
    table.write_bytes(text.encode(encoding))
    named = {} if encoding.startswith("utf") and encoding != "utf-16-be" else {"encoding": encoding}
    written = correct(tmp_path, table, **named)
    assert written.path.read_bytes() == with_corrections(text, end).encode(encoding)
    assert table.read_bytes() == text.encode(encoding)
    assert written.summary() == "4 labels corrected, to Caps 1, Shirts 1, Hats, warm 1, Men 1"
    assert list(written.new_labels) == ["Hats, warm"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={}\n"])
def test_other_separators_stay(tmp_path: Path, separator: str, first: str) -> None:
    text = "\n".join(LINES).replace(", navy", "; navy").replace(",", separator)
    whole = first.format(separator) + text + "\n"
    table = tmp_path / "shop.tsv"
    table.write_text(whole, encoding="utf-8")
    written = correct(tmp_path, table)
    assert written.path.read_text(encoding="utf-8") == with_corrections(whole, "\n", separator)


@pytest.mark.parametrize(("suffix", "opened"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)])
def test_a_compressed_table_stays_compressed(
    tmp_path: Path, suffix: str, opened: Callable[..., io.BufferedIOBase]
) -> None:
    table, text = tmp_path / f"shop.csv{suffix}", "\n".join(LINES)
    with opened(table, "wb") as file:
        file.write(text.encode())
    with opened(correct(tmp_path, table).path, "rb") as file:
        assert file.read().decode() == with_corrections(text, "\n")


def test_lines_are_ids_and_headers_can_be_said(tmp_path: Path) -> None:
    table = tmp_path / "shop.csv"
    table.write_text("Red cap,Caps\nBlue shoe,Caps\n", encoding="utf-8")
    written = correct(tmp_path, table, "id,label\n2,Shoes\n", header="text,label")
    assert written.path.read_text(encoding="utf-8") == "Red cap,Caps\nBlue shoe,Shoes\n"


def test_titles_with_bare_commas_stay_in_the_kaggle_layout(tmp_path: Path) -> None:
    lines = [
        "id,gender,articleType,productDisplayName,usage",
        '7,Men,Caps,Cap, 3.5" wide,Casual',
        "8,Men,Caps,Bag,Casual",
    ]
    table = tmp_path / "styles.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    fixes = "id,column,label\n7,articleType,Hats\n7,usage,Sports\n8,articleType,Bags\n"
    written = correct(tmp_path, table, fixes, label_column="articleType")
    assert written.path.read_text(encoding="utf-8").splitlines()[1:] == [
        '7,Men,Hats,Cap, 3.5" wide,Sports',
        "8,Men,Bags,Bag,Casual",
    ]


RECORDS = [
    '{"id": "a1", "text": "Cap",  "label": "Caps", "rank": 1}',
    '{"id": "a2", "nested": {"label": "x}"}, "label" :"Ge\\u00fc", "rank": 2}',
    '{"label": "Caps","id": "a3","text": "Shoe \u2028 \\"x\\""}',
]


@pytest.mark.parametrize("form", ["lines", "list"])
def test_only_the_values_of_a_json_change(tmp_path: Path, form: str) -> None:
    text = "\n\n".join(RECORDS) if form == "lines" else "[ " + " ,\n ".join(RECORDS) + "\n]\n"
    table = tmp_path / "shop.jsonl"
    table.write_text(text, encoding="utf-8")
    fixes = "id,column,label\na2,label,Größe\na3,label,Shoes\na3,rank,7\na1,rank,9\n"
    written = correct(tmp_path, table, fixes, label_column="label")
    expected = (
        text.replace('"rank": 1', '"rank": 9')
        .replace('"Ge\\u00fc"', '"Gr\\u00f6\\u00dfe"')
        .replace('{"label": "Caps","id": "a3"', '{"label": "Shoes","id": "a3"')
        .replace('\\"x\\""}', '\\"x\\"", "rank": "7"}')
    )
    assert written.path.read_text(encoding="utf-8") == expected
    assert json.loads(RECORDS[0])["rank"] == 1


def write_workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    first, second = book.active, book.create_sheet("prices")
    for row in (["id", "text", "label", "sex"], [1, "Cap", "Caps", "Men"], [], [2, "Shoe & sock", "Caps"]):
        first.append(row)
    first["C4"].font = Font(bold=True)
    first["F4"] = "=1+1"
    second["A1"] = "=SUM(1,2)"
    del first["F4"]
    book.save(path)


def test_only_the_cells_of_a_workbook_change(tmp_path: Path) -> None:
    table = tmp_path / "shop.xlsx"
    write_workbook(table)
    written = correct(tmp_path, table, 'id,column,label\n2,label,"Bags <&> more"\n2,sex,Women\n', label_column="label")
    book = openpyxl.load_workbook(written.path)
    values = [[cell.value for cell in row] for row in book.worksheets[0].iter_rows()]
    assert values[1] == [1, "Cap", "Caps", "Men"] and values[3] == [2, "Shoe & sock", "Bags <&> more", "Women"]
    assert book.worksheets[0]["C4"].font.bold and book["prices"]["A1"].value == "=SUM(1,2)"
    with zipfile.ZipFile(table) as old, zipfile.ZipFile(written.path) as new:
        assert old.namelist() == new.namelist()
        changed = [name for name in old.namelist() if old.read(name) != new.read(name)]
    assert changed == ["xl/worksheets/sheet1.xml"]


def test_a_sheet_without_places_and_with_a_prefix_is_corrected(tmp_path: Path) -> None:
    """Other programs than Excel write such sheets."""
    plain, table = tmp_path / "plain.xlsx", tmp_path / "shop.xlsx"
    write_workbook(plain)
    rows = [["id", "text", "label"], ["a", "Cap", "Caps"], ["b", "Shoe", "Caps"]]
    cells = ["".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in row) for row in rows]
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    sheet = f"<worksheet {space}><sheetData>{''.join(f'<row>{each}</row>' for each in cells)}</sheetData></worksheet>"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(table, "w") as new:
        for name in old.namelist():
            new.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else old.read(name))
    written = correct(tmp_path, table, "id,label\nb,Shoes\n")
    assert openpyxl.load_workbook(written.path).worksheets[0]["C3"].value == "Shoes"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_only_the_values_of_a_parquet_change(tmp_path: Path, kind: pa.DataType) -> None:
    labels = pa.array(["Caps", "Shirts", "Caps", None], pa.string())
    labels = labels.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else labels.cast(kind)
    pictures = [{"bytes": picture(), "path": None, "more": 1}] * 4
    old = pa.table({"id": [1, 2, 3, 4], "image": pictures, "text": ["a", "b", "c", "d"], "label": labels})
    old = old.replace_schema_metadata({b"huggingface": b"{}"})
    table = tmp_path / "shop.parquet"
    pq.write_table(old, table, row_group_size=2, compression="zstd")
    (tmp_path / "corrections.csv").write_text("id,label\n2,Hats\n3,Shirts\n", encoding="utf-8")
    written = write_corrected(CatalogSource(path=str(table)), tmp_path / "corrections.csv", tmp_path / "out.parquet")
    new = pq.ParquetFile(written.path)
    assert new.read()["label"].to_pylist() == ["Caps", "Hats", "Shirts", None]
    assert new.read().drop(["label"]).equals(old.drop(["label"])) and new.schema_arrow.equals(
        old.schema, check_metadata=True
    )
    assert new.num_row_groups == 2 and new.metadata.row_group(1).column(0).compression == "ZSTD"


def test_a_column_of_numbers_takes_no_words(tmp_path: Path) -> None:
    table = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["a", "b"], "label": [1, 2]}), table)
    assert pq.read_table(correct(tmp_path, table, "id,label\na,2\n").path)["label"].to_pylist() == [2, 2]
    with pytest.raises(CatalogError, match=r"shop\.parquet: the column 'label' holds int64, which has no 'Caps'"):
        correct(tmp_path, table, "id,label\na,Caps\n", replace=True)


def test_the_table_of_a_zip_is_written_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        archive.writestr("shop/products.csv", "\n".join(LINES))
    (tmp_path / "corrections.csv").write_text("id,label\na1,Hats\n", encoding="utf-8")
    (tmp_path / "new").mkdir()
    source = CatalogSource(path=str(tmp_path / "shop.zip"), image_column="")
    written = write_corrected(source, tmp_path / "corrections.csv", tmp_path / "new")
    assert written.path == tmp_path / "new" / "products.csv"
    assert written.path.read_text(encoding="utf-8").splitlines()[1] == 'a1,"Cap, navy",Hats,Men'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("corrections", "message"),
    [
        ("id,label\nzz,Caps\n", r"1 products that are not in the catalogue.*'zz' \(line 2\)"),
        ("id,given,label\na1,Shoes,Hats\n", "'a1' was 'Shoes' and is 'Caps' now"),
        ("id,label\na1,Caps\n", "changes nothing in 1 products"),
        ("id,column,label\na1,colour,Red\n", "no column 'colour'"),
        ("id,column,label\na1,sex,Women\na2,,Caps\n", "name the main column with --labels"),
    ],
)
def test_what_cannot_be_applied_is_named_and_nothing_is_written(
    tmp_path: Path, shop: Path, corrections: str, message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        correct(tmp_path, shop, corrections)
    assert not (tmp_path / "out.csv").exists()


def test_an_encoding_without_the_letters_of_a_label_is_named(tmp_path: Path) -> None:
    table = tmp_path / "shop.csv"
    table.write_bytes("\n".join(LINES).encode("cp1254"))
    with pytest.raises(CatalogError, match=r"shop\.csv is in cp1254, which has no '帽子' of a new label"):
        correct(tmp_path, table, "id,label\na1,帽子\n", encoding="cp1254")
    assert not (tmp_path / "out.csv").exists()


def test_no_file_is_overwritten(tmp_path: Path, shop: Path) -> None:
    text = shop.read_text(encoding="utf-8")
    (tmp_path / "link.csv").symlink_to(shop)
    for out in ("shop", "link"):
        with pytest.raises(CatalogError, match="is the catalogue itself, which stays as it is"):
            correct(tmp_path, shop, out=out, replace=True)
    correct(tmp_path, shop)
    with pytest.raises(CatalogError, match="is there already: name another file"):
        correct(tmp_path, shop)
    correct(tmp_path, shop, replace=True)
    assert shop.read_text(encoding="utf-8") == text


def test_what_has_no_table_to_correct_is_said(tmp_path: Path) -> None:
    feed = tmp_path / "feed.xml"
    item = "<item><id>{}</id><text>Cap</text><label>Caps</label></item>"
    feed.write_text(f"<rss><channel>{item.format(1)}{item.format(2)}</channel></rss>", encoding="utf-8")
    with pytest.raises(CatalogError, match="is XML, which is not written"):
        correct(tmp_path, feed, "id,label\n1,Hats\n")
    for label in ("Caps", "Shoes"):
        (tmp_path / "folders" / label).mkdir(parents=True)
        (tmp_path / "folders" / label / "a.jpg").write_bytes(picture())
    with pytest.raises(CatalogError, match="its labels are names of folders"):
        correct(tmp_path, tmp_path / "folders", "id,label\n1,Hats\n")
    export = tmp_path / "shopify.csv"
    export.write_text(
        "Handle,Title,Product Category\np1,Cap,Apparel > Caps\np2,Shoe,Apparel > Shoes\n", encoding="utf-8"
    )
    with pytest.raises(CatalogError, match="'level1', which is made of the category"):
        correct(tmp_path, export, "id,label\np1,Hats\n", format="shopify", label_column="level1")
