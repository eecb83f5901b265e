"""``client audit --apply``: what it prints, where it writes, and what it refuses."""

from pathlib import Path

import pytest
from test_run_audit import write_run

from client.__main__ import main

TEXT = "id;image;text;kind\r\n1;a.jpg;Şapka;Caps\r\n2;b.jpg;Gömlek;Caps\r\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop" / "products.csv"
    path.parent.mkdir()
    path.write_bytes(TEXT.encode("utf-8-sig"))
    return path


def apply(folder: Path, corrections: str, *arguments: str) -> int:
    (folder / "corrections.csv").write_text(corrections, encoding="utf-8")
    return main(["audit", "--apply", str(folder / "corrections.csv"), *arguments])


def test_the_corrected_table_is_written_beside_the_old_one(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shop.with_name("corrected.csv")
    assert apply(tmp_path, "id,label\n2,Shirts\n", str(shop), "--labels", "kind", "--out", str(out)) == 0
    assert out.read_bytes() == TEXT.replace("Gömlek;Caps", "Gömlek;Shirts").encode("utf-8-sig")
    assert capsys.readouterr().out.splitlines() == [
        "note: no product had this label before: 'Shirts'",
        f"1 labels corrected, to Shirts 1; {out} is {shop} otherwise",
    ]


def test_a_table_away_from_its_pictures_is_said(tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(tmp_path, "id,column,label\n2,kind,Hats\n", str(shop), "--out", str(tmp_path)) == 0
    assert (tmp_path / "products.csv").is_file()
    assert "products.csv belongs beside the old one" in capsys.readouterr().out


def test_the_catalogue_of_a_run_is_corrected(tmp_path: Path) -> None:
    run = write_run(tmp_path / "shop", labels={4: "Shoes"}, said={})
    out = tmp_path / "shop" / "corrected.csv"
    assert apply(tmp_path, "id,given,label\np4,Shoes,Hats\n", "--run", str(run), "--out", str(out)) == 0
    old = (tmp_path / "shop" / "shop.csv").read_bytes()
    assert out.read_bytes() == old.replace(b"Title 4,Shoes", b"Title 4,Hats")


@pytest.mark.parametrize(
    ("corrections", "message"),
    [
        ("id,label\n9,Shirts\n", "not in the catalogue, or were rejected: '9' (line 2)"),
        ("id,label\n1,Caps\n", "changes nothing in 1 products"),
        ("id\n1\n", "has no column 'label'"),
    ],
)
def test_wrong_corrections_write_nothing(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str], corrections: str, message: str
) -> None:
    out = shop.with_name("corrected.csv")
    assert apply(tmp_path, corrections, str(shop), "--labels", "kind", "--out", str(out)) == 1
    assert message in capsys.readouterr().err and not out.exists()


def test_the_catalogue_itself_is_never_overwritten(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixes = "id,column,label\n2,kind,Hats\n"
    assert apply(tmp_path, fixes, str(shop), "--out", str(shop.parent), "--replace") == 1
    assert "is the catalogue itself" in capsys.readouterr().err and shop.read_bytes() == TEXT.encode("utf-8-sig")
    assert apply(tmp_path, fixes, "--out", str(tmp_path / "new.csv")) == 1
    assert "--apply corrects one catalogue" in capsys.readouterr().err
