"""Pictures that lie inside a Parquet are scored as pictures, and a folder for each class is a catalogue too."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from known_model import BLUE, LABELS, RED, picture
from stub_engine import rows_of

from client.__main__ import main

COLOURS = [RED, BLUE, BLUE, RED]
BAG, SHOE = LABELS
EXPECTED = [SHOE, BAG, BAG, SHOE]


def scored(catalogue: Path, archive: Path, out: Path, *further: str) -> list[dict[str, str]]:
    arguments = ["score", str(catalogue), "--out", str(out), "--engine", "local", "--archive", str(archive)]
    assert main([*arguments, *further]) == 0
    return rows_of(out / "predictions.csv")


@pytest.mark.parametrize("form", ["pairs", "bytes"])
@pytest.mark.parametrize("titled", [False, True])
def test_pictures_in_a_parquet_are_read(known_archive: Path, tmp_path: Path, form: str, titled: bool) -> None:
    pictures = [picture(colour) for colour in COLOURS]
    images = pa.array([{"bytes": each, "path": "x.png"} for each in pictures] if form == "pairs" else pictures)
    texts = {"text": ["Shoe", "Bag", "Bag", "Shoe"]} if titled else {}
    pq.write_table(pa.table({"image": images, **texts}), tmp_path / "shop.parquet")
    rows = scored(
        tmp_path / "shop.parquet", known_archive, tmp_path / "out", *(() if titled else ("--text-column", ""))
    )
    assert [row["label"] for row in rows] == EXPECTED
    assert {row["modalities"] for row in rows} == {"image+text" if titled else "image"}


def test_folders_of_pictures_are_scored(known_archive: Path, tmp_path: Path) -> None:
    for number, (colour, name) in enumerate(zip(COLOURS, EXPECTED, strict=True)):
        (tmp_path / "shop" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / name / f"{number}.png").write_bytes(picture(colour))
    rows = scored(tmp_path / "shop", known_archive, tmp_path / "out")
    assert {row["image"].split("/")[0] for row in rows if row["label"] == SHOE} == {SHOE}
    assert {row["modalities"] for row in rows} == {"image"} and len(rows) == 4
