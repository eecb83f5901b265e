"""Finding a catalogue's CSV, and reading its files from a folder or a zip, from several threads and processes."""

import errno
import hashlib
import multiprocessing
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from training.catalog.files import CatalogError, CatalogFiles, RowError, ZipFiles, open_files, safe_path
from training.catalog.table import open_table

NAMES = [f"images/{number}.bin" for number in range(40)]


def content(name: str) -> bytes:
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).bytes(3000) + b"tail " * 100


@pytest.fixture(scope="module", params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "shop.zip"
    with zipfile.ZipFile(path, "w", request.param) as file:
        file.writestr("products.csv", "image,text,label\n")
        for name in NAMES:
            file.writestr(name, content(name))
    return path


CONTENTS = {name: content(name) for name in NAMES}


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Let threads switch as often as possible."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def read_all(files: CatalogFiles) -> list[str]:
    return [name for _ in range(40) for name in NAMES if files.read(name) != CONTENTS[name]]


@pytest.mark.usefixtures("eager_switches")
def test_threads_and_forked_processes_read_one_zip_at_once(archive: Path) -> None:
    files = ZipFiles(archive)
    with multiprocessing.get_context("fork").Pool(4) as processes, ThreadPoolExecutor(4) as threads:
        others = processes.map_async(read_all, [files] * 4)
        mine = list(threads.map(read_all, [files] * 4))
        assert mine + others.get(timeout=300) == [[]] * 8


@pytest.mark.usefixtures("eager_switches")
def test_a_forked_process_reads_with_what_it_inherited(archive: Path) -> None:
    files = ZipFiles(archive)
    context = multiprocessing.get_context("fork")
    wrong = context.Queue()
    children = [context.Process(target=lambda: wrong.put(read_all(files))) for _ in range(3)]
    for child in children:
        child.start()
    assert read_all(files) == []
    assert [wrong.get(timeout=300) for _ in children] == [[]] * 3
    for child in children:
        child.join(timeout=300)


def test_a_damaged_entry_is_named(archive: Path, tmp_path: Path) -> None:
    damaged = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        entry = file.getinfo(NAMES[3])
    damaged[entry.header_offset + 200] ^= 0x40
    path = tmp_path / "damaged.zip"
    path.write_bytes(damaged)
    files = open_files(path)
    with pytest.raises(RowError, match="image_corrupt") as caught:
        files.read(NAMES[3])
    assert NAMES[3] in caught.value.detail
    assert files.read(NAMES[4]) == content(NAMES[4])


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("products.csv", "image,text,label\n")
    with pytest.raises(RowError, match="compression method 14"):
        open_files(path).read("products.csv")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", ".."])
def test_names_that_lead_out_are_refused_in_folder_and_zip(archive: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "products.csv").touch()
    (tmp_path / "secret").write_text("no")
    for files in (open_files(tmp_path / "shop"), ZipFiles(archive)):
        with pytest.raises(RowError, match="image_outside"):
            files.read(name)


def test_a_name_with_a_nul_is_of_no_file(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "products.csv").touch()
    for files in (open_files(tmp_path), ZipFiles(archive)):
        with pytest.raises(RowError, match="image_missing"):
            files.read("a\0.jpg")


@pytest.mark.parametrize(("name", "path"), [("a.jpg", "a.jpg"), ("./a//b.jpg", "a/b.jpg"), ("a/../b.jpg", "b.jpg")])
def test_names_that_stay_are_normalised(name: str, path: str) -> None:
    assert safe_path(name) == path


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["products.csv"], "products.csv"),
        (["PRODUCTS.CSV", "deep/other.csv"], "PRODUCTS.CSV"),
        (["styles.csv", "images.csv"], "styles.csv"),
        (["shop/styles.csv", "shop/more/styles.csv", "shop/other.csv"], "shop/styles.csv"),
        (["kaggle/styles.csv", "mine.csv"], "mine.csv"),
        (["__MACOSX/x.csv", ".hidden/y.csv", "shop/z.csv"], "shop/z.csv"),
    ],
)
def test_the_csv_is_found_in_folder_and_zip(tmp_path: Path, names: list[str], found: str) -> None:
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        for name in names:
            path = tmp_path / "shop" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            archive.write(path, name)
    for files in (open_files(tmp_path / "shop.zip"), open_files(tmp_path / "shop")):
        assert files.read(Path(found).name) == found.encode()


def test_the_nearest_table_counts_and_a_csv_before_the_parquet_beside_it(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    for name in ("scores/errors.csv", "shop.PARQUET"):
        (tmp_path / name).touch()
    assert open_files(tmp_path).table_name == "shop.PARQUET"
    (tmp_path / "shop.CSV").touch()
    assert open_files(tmp_path).table_name == "shop.CSV"


def test_a_csv_does_not_go_before_the_parquet_of_another_folder(tmp_path: Path) -> None:
    for name in ("data/shop.parquet", "scores/errors.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(CatalogError, match=r"2 tables \(data/shop\.parquet, scores/errors\.csv\)"):
        open_files(tmp_path)


def test_a_fingerprint_follows_the_content(archive: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zip"
    copy.write_bytes(archive.read_bytes())
    assert open_files(copy).fingerprint() == open_files(archive).fingerprint()
    with zipfile.ZipFile(copy, "a") as file:
        file.writestr("images/more.bin", b"more")
    assert open_files(copy).fingerprint() != open_files(archive).fingerprint()
    table = tmp_path / "products.csv"
    prints = []
    for text in ("image,text\na.jpg,Cap\n", "image,text\na.jpg,Caps\n"):
        table.write_text(text)
        prints.append(open_files(table).fingerprint())
    assert len(set(prints)) == 2


def test_a_damaged_table_in_a_zip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("products.csv", "image,text\n" + "".join(f"{row}.jpg,Cap {row}\n" for row in range(5000)))
    damaged = bytearray(path.read_bytes())
    damaged[3000:3100] = bytes(100)
    path.write_bytes(damaged)
    with open_files(path).open_table() as stream, pytest.raises(CatalogError, match=r"^products\.csv cannot be read"):
        list(open_table(stream, name="products.csv", image_column="image").rows)


def test_two_csvs_are_too_many(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(CatalogError, match=r"2 CSVs \(a\.csv, b\.csv\)"):
        open_files(tmp_path)


def test_a_folder_without_a_csv_and_a_path_to_nothing_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="holds no CSV"):
        open_files(tmp_path)
    with pytest.raises(CatalogError, match="does not exist"):
        open_files(tmp_path / "nothing.csv")


def test_half_a_zip_is_an_error(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.zip"
    path.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(CatalogError, match="no complete zip file"):
        open_files(path)


def test_a_zip_that_must_not_be_read_is_an_error(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(zipfile, "ZipFile", denied)
    with pytest.raises(CatalogError, match=r"shop\.zip cannot be read \(Permission denied\)"):
        open_files(archive)
