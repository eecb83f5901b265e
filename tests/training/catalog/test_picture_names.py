"""Names of pictures that are not written as the files: read if one file fits for certain, else the reason helps."""

import os
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_catalog import picture, read, reasons

from training.catalog.files import RowError, open_files
from training.catalog.pictures.names import folded, plain_path
from training.catalog.reading import Catalog

NFC, NFD = (unicodedata.normalize(form, "Jäckchen é.jpg") for form in ("NFC", "NFD"))
WINDOWS, UNIX = 0, 3


def shop(folder: Path, files: Sequence[str], cells: Sequence[str], *, as_zip: bool = False) -> Path:
    """A catalogue with the cells in its column of pictures, and pictures of these names; the table lies in ``shop``."""
    table = "image,text,label\n" + "".join(f'"{cell.replace(chr(34), 2 * chr(34))}",Cap,Caps\n' for cell in cells)
    if as_zip:
        with zipfile.ZipFile(folder / "shop.zip", "w") as archive:
            archive.writestr("shop/products.csv", table)
            for name in files:
                archive.writestr(f"shop/{name}", picture())
        return folder / "shop.zip"
    for name in files:
        path = folder / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture())
    (folder / "shop").mkdir(exist_ok=True)
    (folder / "shop" / "products.csv").write_text(table, encoding="utf-8")
    return folder / "shop"


def used(catalog: Catalog) -> list[str]:
    return list(catalog.products["image"])


CERTAIN = {
    "backslash": (r"images\a.jpg", "images/a.jpg"),
    "windows path of another machine": (r"C:\Users\anna\shop\images\a.jpg", "images/a.jpg"),
    "drive and slash": ("D:/images/a.jpg", "images/a.jpg"),
    "leading slash": ("/images/a.jpg", "images/a.jpg"),
    "path of another machine": ("/home/anna/shop/images/a.jpg", "images/a.jpg"),
    "file address": ("file:///home/anna/images/a.jpg", "images/a.jpg"),
    "dot and backslash": (r".\images\a.jpg", "images/a.jpg"),
    "case of the folder": ("Images/a.jpg", "images/a.jpg"),
    "case of the suffix": ("images/a.JPG", "images/a.jpg"),
    "case of the file": ("images/a.jpg", "images/A.JPG"),
    "jpeg for jpg": ("images/a.jpeg", "images/a.jpg"),
    "jpg for jfif": ("images/a.jpg", "images/a.jfif"),
    "no suffix": ("images/a", "images/a.png"),
    "no suffix and no folder": ("a", "images/a.webp"),
    "no suffix, another case": ("A", "images/a.JPG"),
    "no folder": ("a.jpg", "images/a.jpg"),
    "no folder, two deep": ("a.jpg", "data/images/a.jpg"),
    "half of the folders": ("images/a.jpg", "data/images/a.jpg"),
    "a folder too much": ("images/a.jpg", "a.jpg"),
    "composed for decomposed": (f"images/{NFC}", f"images/{NFD}"),
    "decomposed for composed": (f"images/{NFD}", f"images/{NFC}"),
    "composed in a folder": (f"{NFC[:-4]}/a.jpg", f"{NFD[:-4]}/a.jpg"),
    "url-encoded": ("images/J%C3%A4ckchen%20%C3%A9.jpg", f"images/{NFC}"),
    "url-encoded plus": ("images/red+cap.jpg", "images/red cap.jpg"),
    "decoded, the file is encoded": ("images/red cap.jpg", "images/red%20cap.jpg"),
    "a query behind it": ("images/a.jpg?v=1717", "images/a.jpg"),
    "html": ("images/salt &amp; pepper.jpg", "images/salt & pepper.jpg"),
    "blanks around": ("  images/a.jpg\t", "images/a.jpg"),
    "blanks around the folder": ("images / a.jpg", "images/a.jpg"),
    "no-break blank": ("images/red\u00a0cap.jpg", "images/red cap.jpg"),
    "invisible characters": ("\ufeffimages/\u200ba.jpg", "images/a.jpg"),
    "quotes": ('"images/a.jpg"', "images/a.jpg"),
    "curly quotes": ("“images/a.jpg”", "images/a.jpg"),
    "full-width digits": ("images/１.jpg", "images/1.jpg"),
    "all at once": (r"\Shop\IMAGES\J%C3%A4ckchen%20%C3%A9", f"images/{NFD}"),
}


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(("cell", "file"), CERTAIN.values(), ids=CERTAIN)
def test_the_one_file_that_fits_is_read(tmp_path: Path, cell: str, file: str, as_zip: bool) -> None:
    catalog = read(shop(tmp_path, [file, "images/other.jpg"], [cell], as_zip=as_zip))
    assert used(catalog) == [file]
    assert catalog.image_bytes(file) == picture()


@pytest.mark.parametrize(
    ("cell", "files"),
    [
        ("a.jpg", ["a.jpg", "A.jpg", "images/a.jpg"]),
        (r"images\a.jpg", [r"images\a.jpg", "images/a.jpg"]),
        ("a;b.jpg", ["a;b.jpg", "a.jpg", "b.jpg"]),
        ("red, blue.jpg", ["red, blue.jpg", "blue.jpg"]),
        ("./images//a.jpg", ["images/a.jpg", "images/A.jpg"]),
        ("a%20b.jpg", ["a%20b.jpg", "a b.jpg"]),
        ("a", ["a", "a.jpg"]),
        ("[a].jpg", ["[a].jpg"]),
        ("nan", ["nan"]),
    ],
)
def test_an_exact_name_comes_first_and_is_no_news(tmp_path: Path, cell: str, files: Sequence[str]) -> None:
    catalog = read(shop(tmp_path, files, [cell]))
    assert used(catalog) == [cell] and not catalog.notes


@pytest.mark.parametrize(
    ("cell", "files", "hint"),
    [
        ("a.JPG", ["a.jpg", "A.jpg"], "'A.jpg' and 'a.jpg' are there"),
        ("a.jpg", ["red/a.jpg", "blue/a.jpg"], "'blue/a.jpg' and 'red/a.jpg' are there"),
        ("a", ["a.jpg", "a.png"], "'a.jpg' and 'a.png' are there"),
        ("1.jpg", ["00001.jpg"], "'00001.jpg' is there"),
        ("1", ["images/00001.jpg"], "'images/00001.jpg' is there"),
        ("1.0", ["images/00001.jpg"], "'images/00001.jpg' is there"),
        ("00001.png", ["00001.jpg"], "'00001.jpg' is there"),
        ("photos/a.jpg", ["images/a.jpg"], "'images/a.jpg' is there"),
        ("red-cap.jpg", ["Red_Cap.jpg"], "'Red_Cap.jpg' is there"),
        ("gone.jpg", ["a.jpg"], "'gone.jpg' is not there"),
    ],
)
def test_what_is_not_certain_is_named(tmp_path: Path, cell: str, files: Sequence[str], hint: str) -> None:
    catalog = read(shop(tmp_path, [*files, "fine.jpg"], [cell, "fine.jpg"]))
    assert reasons(catalog) == {2: "image_missing"}
    assert hint in catalog.rejected["detail"][0]


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_two_names_that_differ_in_left_out_folders_share_no_file(tmp_path: Path, as_zip: bool) -> None:
    cells = ["red/1.jpg", "red/2.jpg", "blue/1.jpg", "red/2.jpg", "images/fine.jpg"]
    catalog = read(shop(tmp_path, ["1.jpg", "2.jpg", "fine.jpg"], cells, as_zip=as_zip))
    assert reasons(catalog) == {2: "image_missing", 4: "image_missing"}
    assert used(catalog) == ["2.jpg", "2.jpg", "fine.jpg"]


OUTSIDE = [
    "../secret.jpg",
    r"..\secret.jpg",
    "images/../../secret.jpg",
    r"images\..\..\secret.jpg",
    "%2e%2e/secret.jpg",
    "%2e%2e%2fsecret.jpg",
    "..%5csecret.jpg",
    "/../secret.jpg",
    "./../secret.jpg",
    " ../secret.jpg",
    '"../secret.jpg"',
    "file:../secret.jpg",
    "file://../secret.jpg",
    r"\\server\share\secret.jpg",
    "../secret",
    "link.jpg",
    "LINK.jpg",
    "link",
    "away/secret.jpg",
    "Away/secret.jpg",
    "secret.jpg",
]


@pytest.mark.parametrize("cell", [*OUTSIDE, "{outside}/secret.jpg", "file://{outside}/secret.jpg"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, cell: str) -> None:
    folder = shop(tmp_path, ["images/a.jpg"], [cell.format(outside=tmp_path), "images/a.jpg"])
    (tmp_path / "secret.jpg").write_bytes(picture("red"))
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "away").symlink_to(tmp_path, target_is_directory=True)
    catalog = read(folder)
    assert list(reasons(catalog)) == [2]
    assert catalog.rejected["reason"][0] in ("image_outside", "image_missing")
    with pytest.raises(RowError, match=r"image_outside|image_missing"):
        catalog.image_bytes(cell.format(outside=tmp_path))


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('./\\%2ef5c:aC ?"\u0301\x00'), max_size=14))
def test_a_name_that_was_cleaned_stays_inside(name: str) -> None:
    plain = plain_path(name)
    assert plain is None or not (plain.startswith("/") or ".." in plain.split("/"))
    assert folded(folded(name)) == folded(folded(folded(name)))


def test_a_note_counts_the_names_once(tmp_path: Path) -> None:
    cells = [r"images\a.jpg", "/images/b.jpg", "images/a.jpg"]
    [note] = read(shop(tmp_path, ["images/a.jpg", "images/b.jpg"], cells)).notes
    assert note.startswith(r"2 names of pictures are not written as the files are, such as 'images\\a.jpg' for")


def written_zip(path: Path, entries: Mapping[bytes, bytes], *, system: int) -> Path:
    """A zip with these bytes as its names: cp437 holds every byte, so the placeholders are replaced afterwards."""
    names = {f"{number:0{len(name)}d}".encode(): name for number, name in enumerate(entries, start=1)}
    with zipfile.ZipFile(path, "w") as archive:
        for placeholder, name in names.items():
            made = zipfile.ZipInfo(placeholder.decode())
            made.create_system = system
            archive.writestr(made, entries[name])
    content = path.read_bytes()
    for placeholder, name in names.items():
        content = content.replace(placeholder, name)
    path.write_bytes(content)
    return path


def table_of(*cells: str) -> bytes:
    return ("image,text,label\n" + "".join(f"{cell},Cap,Caps\n" for cell in cells)).encode()


@pytest.mark.parametrize("cell", ["images/a.jpg", r"images\a.jpg", "IMAGES/A.JPG"])
def test_a_zip_of_windows_with_backslashes_is_read(tmp_path: Path, cell: str) -> None:
    files = {rb"my shop\products.csv": table_of(cell), rb"my shop\images\a.jpg": picture(), b"my shop\\images\\": b""}
    catalog = read(written_zip(tmp_path / "windows.zip", files, system=WINDOWS))
    assert used(catalog) == [cell] if cell == "images/a.jpg" else ["images/a.jpg"]


@pytest.mark.parametrize("page", ["cp437", "cp850", "cp1252", "cp1254", "utf-8"])
def test_a_zip_with_names_in_a_code_page_is_read(tmp_path: Path, page: str) -> None:
    files = {b"products.csv": table_of("Jäckchen Übergröße.jpg"), "Jäckchen Übergröße.jpg".encode(page): picture()}
    catalog = read(written_zip(tmp_path / "shop.zip", files, system=WINDOWS))
    assert len(catalog.products) == 1
    assert catalog.image_bytes(used(catalog)[0]) == picture()


def test_a_zip_of_macos_is_read(tmp_path: Path) -> None:
    folder = unicodedata.normalize("NFD", "Frühjahr")
    files = {
        f"{folder}/products.csv".encode(): table_of(unicodedata.normalize("NFC", "Jäckchen.jpg")),
        f"{folder}/{unicodedata.normalize('NFD', 'Jäckchen.jpg')}".encode(): picture(),
        f"{folder}/.DS_Store".encode(): b"\0",
        f"__MACOSX/{folder}/._products.csv".encode(): b"\0\5\x16\7",
        f"__MACOSX/{folder}/._{unicodedata.normalize('NFD', 'Jäckchen.jpg')}".encode(): b"\0\5\x16\7",
    }
    catalog = read(written_zip(tmp_path / "shop.zip", files, system=UNIX))
    assert len(catalog.products) == 1
    assert catalog.image_bytes(used(catalog)[0]) == picture()


def test_entries_that_lead_out_of_a_zip_are_never_asked_for(tmp_path: Path) -> None:
    files = {b"shop/products.csv": table_of("../secret.jpg", "secret.jpg", "a.jpg")}
    files |= {b"secret.jpg": picture("red"), b"shop/../../secret.jpg": picture("red"), b"shop/a.jpg": picture()}
    catalog = read(written_zip(tmp_path / "shop.zip", files, system=UNIX))
    assert used(catalog) == ["a.jpg"]
    assert reasons(catalog) == {2: "image_outside", 3: "image_missing"}


def test_a_zip_that_was_unpacked_in_a_wrong_code_page_is_read(tmp_path: Path) -> None:
    folder = shop(tmp_path, [], ["Jäckchen.jpg", "Hemd Größe.jpg"])
    (folder / "Jäckchen.jpg".encode().decode("cp437")).write_bytes(picture())
    (Path(os.fsdecode(bytes(folder) + b"/" + "Hemd Größe.jpg".encode("cp1252")))).write_bytes(picture("red"))
    catalog = read(folder)
    assert [catalog.image_bytes(name) for name in used(catalog)] == [picture(), picture("red")]
    "".join(used(catalog)).encode()  # what is written into results is text


def test_files_are_read_by_names_of_others_too(tmp_path: Path) -> None:
    files = open_files(shop(tmp_path, ["images/a.jpg"], ["images/a.jpg"]))
    assert files.read(r"Images\A.JPEG") == picture()
