"""A whole fetch: it writes a catalogue that is read without a rejected row, is polite, and goes on where it stopped."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from picture_server import PictureServer, picture, serving

from training.__main__ import main
from training.catalog.files import CatalogError
from training.catalog.reading import CatalogSource, read_catalog
from training.fetch.catalogue import TABLE
from training.fetch.download import Limits
from training.fetch.errors import FetchError
from training.fetch.hosts import GIVEN_UP_AFTER, Hosts
from training.fetch.run import FetchOptions, fetch_catalogue
from training.fetch.store import DETAILS, JOURNAL
from training.system.storage import LockedError, locked

ROOT = Path(__file__).parents[3]
FAST = Limits(seconds=1.0, max_bytes=200_000, max_pixels=1_000_000)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with serving() as running:
        yield running


def write(folder: Path, cells: Sequence[str], *, titles: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "shop.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["sku", "image", "text", "label", "price"])
        rows.writerows(
            [f"p{number}", cell, f"Cap {number}" if titles else "", "Caps", "3,50"] for number, cell in enumerate(cells)
        )
    return folder / "shop.csv"


def fetch(catalogue: Path, out: Path, **options: Any) -> list[str]:
    said: list[str] = []
    given: dict[str, Any] = {"allow_private": True, "limits": FAST, "first_wait": 0.01, **options}
    fetch_catalogue(FetchOptions(catalogue=str(catalogue), out=out, **given), log=said.append, progress=False)
    return said


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_catalogue_of_addresses_becomes_one_of_files(tmp_path: Path, server: PictureServer) -> None:
    (tmp_path / "shop" / "images").mkdir(parents=True)
    (tmp_path / "shop" / "images" / "own.jpg").write_bytes(picture(7))
    cells = [
        server.address("ok/1.jpg"),
        server.address("ok/1.jpg"),
        f"{server.address('ok/2.jpg')}, {server.address('ok/3.jpg')}",
        server.address("gone.jpg"),
        server.address("html-as-jpeg"),
        r"images\own.jpg",
        "",
    ]
    said = fetch(write(tmp_path / "shop", cells), tmp_path / "out")
    rows = table(tmp_path / "out" / TABLE)
    assert [row["image_address"] for row in rows] == cells
    assert rows[0]["image"] == rows[1]["image"] and rows[0]["price"] == "3,50"
    catalog = read_catalog(CatalogSource(path=str(tmp_path / "out"), id_column="sku"), progress=False)
    assert len(catalog.products) == len(cells) and catalog.rejected.empty and not catalog.notes
    assert [bool(name) for name in catalog.products["image"]] == [True, True, True, False, False, True, False]
    assert catalog.image_bytes(catalog.products["image"][5]) == picture(7)
    errors = table(tmp_path / "out" / DETAILS / "errors.csv")
    assert [(row["line"], row["reason"]) for row in errors] == [("5", "http_404"), ("6", "unsupported_image")]
    assert said[1].startswith("4 addresses = 2 pictures (0 of them from before) + 2 errors (")
    assert said[-1] == f"next: python -m training train --data {tmp_path / 'out'}"
    assert server.asked["/ok/1.jpg"] == 1 and server.asked["/ok/3.jpg"] == 0


def test_all_pictures_of_a_product_can_be_fetched(tmp_path: Path, server: PictureServer) -> None:
    cell = json.dumps([server.address("ok/1.jpg"), server.address("png/2.png"), server.address("gone")])
    fetch(write(tmp_path / "shop", [cell]), tmp_path / "out", pictures="all")
    [row] = table(tmp_path / "out" / TABLE)
    first, second = row["image"].split("|")
    assert first.endswith(".jpg") and second.endswith(".png")
    assert read_catalog(CatalogSource(path=str(tmp_path / "out")), progress=False).products["image"][0] == first


def test_a_repeat_asks_only_for_what_is_missing(tmp_path: Path, server: PictureServer) -> None:
    shop = write(
        tmp_path / "shop", [server.address(f"ok/{number}.jpg") for number in range(5)] + [server.address("gone")]
    )
    fetch(shop, tmp_path / "out")
    before = (tmp_path / "out" / TABLE).read_bytes()
    kept = next((tmp_path / "out" / "pictures").glob("*/*.jpg"))
    kept.write_bytes(kept.read_bytes()[:10])  # cut by a full disk, say
    with (tmp_path / "out" / DETAILS / JOURNAL).open("a") as file:
        file.write('{"address": "half a li')
    server.asked.clear()
    said = fetch(shop, tmp_path / "out")
    assert (tmp_path / "out" / TABLE).read_bytes() == before
    assert server.asked.pop("/gone") == 1 and server.asked.total() == 1
    assert "4 of them are here already" in said[0]


def test_a_killed_fetch_goes_on_where_it_stopped(tmp_path: Path, server: PictureServer) -> None:
    shop = write(tmp_path / "shop", [server.address(f"rested/{number}.jpg") for number in range(40)])
    command = [sys.executable, "-m", "training", "fetch", str(shop), "--out", str(tmp_path / "out"), "--allow-private"]
    with subprocess.Popen([*command, "--workers", "2"], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while server.asked.total() < 10 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out" / TABLE).exists()
    fetch(shop, tmp_path / "out")
    assert len(table(tmp_path / "out" / TABLE)) == 40
    assert server.asked.total() < 40 + 5


def test_ctrl_c_ends_a_fetch_at_once_and_says_how_to_go_on(tmp_path: Path, server: PictureServer) -> None:
    shop = write(tmp_path / "shop", [server.address(f"broken/{number}.jpg") for number in range(40)])
    command = [sys.executable, "-m", "training", "fetch", str(shop), "--out", str(tmp_path / "out"), "--allow-private"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while server.asked.total() < 4 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the same command goes on where it stopped" in said


@pytest.mark.parametrize("path", ["twice-busy/1.jpg", "retry-after/1.jpg"])
def test_a_busy_server_is_asked_again(tmp_path: Path, server: PictureServer, path: str) -> None:
    began = time.monotonic()
    fetch(write(tmp_path / "shop", [server.address(path)]), tmp_path / "out")
    assert table(tmp_path / "out" / TABLE)[0]["image"]
    assert path != "retry-after/1.jpg" or time.monotonic() - began >= 1


def test_a_server_that_asks_to_wait_long_is_left_alone(tmp_path: Path, server: PictureServer) -> None:
    cells = [server.address(f"wait-an-hour/{number}.jpg") for number in range(30)]
    with pytest.raises(CatalogError, match=r"not one of 30 pictures could be fetched:\n.*http_503[^\n]*wait 3,600 s"):
        fetch(write(tmp_path / "shop", cells), tmp_path / "out", workers=2)
    assert server.asked.total() <= 4


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, server: PictureServer) -> None:
    cells = [server.address(f"drop/{number}.jpg") for number in range(60)]
    with pytest.raises(CatalogError, match="connection_failed"):
        fetch(write(tmp_path / "shop", cells), tmp_path / "out", workers=2, attempts=2)
    assert server.asked.total() <= 2 * (GIVEN_UP_AFTER + 4)
    reasons = {row["reason"] for row in table(tmp_path / "out" / DETAILS / "errors.csv")}
    assert reasons == {"connection_failed", "host_given_up"}


def test_what_is_gone_is_not_asked_again_and_no_reason_to_give_up(tmp_path: Path, server: PictureServer) -> None:
    cells = [server.address(f"gone/{number}.jpg") for number in range(20)] + [server.address("ok/1.jpg")]
    fetch(write(tmp_path / "shop", cells), tmp_path / "out", workers=2)
    assert server.asked.total() == 21


def test_few_pictures_at_once_from_one_host(tmp_path: Path, server: PictureServer) -> None:
    cells = [server.address(f"rested/{number}.jpg") for number in range(12)]
    fetch(write(tmp_path / "shop", cells), tmp_path / "out", workers=8, per_host=2)
    assert server.most <= 2


def test_slow_and_hostile_addresses_do_not_stop_the_others(tmp_path: Path, server: PictureServer) -> None:
    bad = ["endless", "drip", "drip-headers", "endless-headers", "hang", "drop", "rubbish", "bomb", "loop", "brotli"]
    bad += ["to?file:///etc/passwd", "promises-more", "pixels", "cut", "html"]
    cells = [cell for number, path in enumerate(bad) for cell in (server.address(path), server.address(f"ok/{number}"))]
    said = fetch(write(tmp_path / "shop", cells), tmp_path / "out", workers=8, per_host=8, attempts=2)
    assert said[1].startswith(f"{len(cells)} addresses = {len(bad)} pictures")
    assert len(read_catalog(CatalogSource(path=str(tmp_path / "out")), progress=False).products) == len(cells)


def test_the_total_is_bounded(tmp_path: Path, server: PictureServer) -> None:
    cells = [server.address(f"ok/{number}.jpg") for number in range(20)]
    fetch(write(tmp_path / "shop", cells), tmp_path / "out", workers=1, max_total=5 * len(picture()))
    rows = table(tmp_path / "out" / TABLE)
    assert 4 <= sum(bool(row["image"]) for row in rows) <= 7
    assert {row["reason"] for row in table(tmp_path / "out" / DETAILS / "errors.csv")} == {"total_limit"}


def test_private_addresses_are_refused_unless_allowed(tmp_path: Path, server: PictureServer) -> None:
    shop = write(tmp_path / "shop", [server.address("ok/1.jpg")])
    with pytest.raises(CatalogError, match=r"address_private.*--allow-private"):
        fetch(shop, tmp_path / "out", allow_private=False)
    assert not server.asked


def test_the_command_says_the_next_one_and_fails_where_nothing_came(
    tmp_path: Path, server: PictureServer, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a shop's pictures"
    shop = write(tmp_path / "shop", [server.address("ok/1.jpg")])
    assert main(["fetch", str(shop), "--out", str(out), "--allow-private"]) == 0
    assert "next: python -m training train --data '" in capsys.readouterr().out
    lost = write(tmp_path / "lost", [server.address("gone/1.jpg")])
    assert main(["fetch", str(lost), "--out", str(tmp_path / "none"), "--allow-private"]) == 1
    assert "not one of 1 pictures could be fetched" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (["images/a.jpg", ""], {}, "has no web address in the column 'image'"),
        (["http://127.0.0.1/a.jpg"], {"image_column": "photo"}, "has no column 'photo'.*--image-column"),
    ],
)
def test_a_catalogue_without_addresses_is_an_error(
    tmp_path: Path, cells: Sequence[str], options: dict[str, str], message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        fetch(write(tmp_path / "shop", cells), tmp_path / "out", **options)


def test_a_fetch_into_the_catalogues_own_table_and_a_second_one_at_once_are_refused(tmp_path: Path) -> None:
    shop = write(tmp_path / "shop", ["http://127.0.0.1/a.jpg"])
    shop.rename(shop.with_name(TABLE))
    with pytest.raises(CatalogError, match="choose another one"):
        fetch(shop.with_name(TABLE), tmp_path / "shop")
    with (
        locked(tmp_path / "out" / ".fetch.lock", taken="the test"),
        pytest.raises(LockedError, match="another fetch is using"),
    ):
        fetch(shop.with_name(TABLE), tmp_path / "out")


def test_only_the_folder_is_written_to(tmp_path: Path, server: PictureServer) -> None:
    cells = [server.address(path) for path in ("ok/..%2f..%2fevil.jpg", "ok/a.jpg/../../../evil.jpg", "ok/CON?x=/../y")]
    shop = write(tmp_path / "shop", cells)
    fetch(shop, tmp_path / "out")
    found = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert found == {"shop", "out"} and [path.name for path in (tmp_path / "shop").iterdir()] == ["shop.csv"]


def test_attempts_end_with_the_last_error() -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise FetchError("timeout", f"call {len(calls)}", again=True)

    with pytest.raises(FetchError, match="call 3"):
        Hosts(attempts=3, first_wait=0.0).call("shop", fail)
