"""The audit's sheet in a real browser: by keys, on a phone, and when nothing was found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_contrast import faint_texts

from client.audit.findings import Finding, ModalityAnswer
from client.audit.sheet import write_sheet
from client.page.browser import missing, open_browser
from training.catalog import CatalogSource
from training.data.corrections import read_corrections

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
SAID = (ModalityAnswer("together", "Shoes", 0.9), ModalityAnswer("picture", "Bags", 0.6))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def view(browser: Any) -> Iterator[Any]:
    view = browser.new_page()
    faults: list[str] = []
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("console", lambda message: message.type == "error" and faults.append(message.text))
    yield view
    view.close()
    assert not faults


def sheet(tmp_path: Path, *, products: int, clear: int = 2) -> str:
    (tmp_path / "shop.csv").write_text("id,text,label\n1,a,b\n", encoding="utf-8")
    found = [
        Finding(f"p{row}", row, "", f"Red Shoe {row}", "Bags", "Shoes", "unanimous", row < clear, 0.1, SAID)
        for row in range(products)
    ]
    source = CatalogSource(path=str(tmp_path / "shop.csv"), label_column="label")
    write_sheet(tmp_path / "audit.html", found, source=source, labels=["Bags", "Hats", "Shoes"], checked=50)
    return (tmp_path / "audit.html").as_uri()


def count(view: Any) -> str:
    return str(view.locator("#count").inner_text())


def test_keys_decide_product_by_product(view: Any, tmp_path: Path) -> None:
    view.goto(sheet(tmp_path, products=4))
    for key in ("w", "r", "e"):
        view.keyboard.press(key)
    assert view.evaluate("document.activeElement.className") == "right"
    view.keyboard.type("Hats")
    view.keyboard.press("Escape")
    view.keyboard.press("j")
    assert view.evaluate("document.activeElement.id") == "p3"
    view.keyboard.press("k")
    assert view.evaluate("document.activeElement.id") == "p2"
    assert count(view) == "2 to correct, 1 right" and view.locator("#open").inner_text() == "1"
    with view.expect_download() as download:
        view.locator("#download").click()
    corrections = read_corrections(Path(download.value.path()))
    assert [each[1:] for each in corrections] == [("p0", "label", "Bags", "Shoes"), ("p2", "label", "Bags", "Hats")]
    view.reload()
    assert count(view) == "2 to correct, 1 right"


def test_all_clear_cases_are_ticked_at_once_and_again_not(view: Any, tmp_path: Path) -> None:
    view.goto(sheet(tmp_path, products=5, clear=3))
    view.locator(".keep").nth(0).click()
    assert view.locator("#clear").inner_text() == "Tick all 2 clear cases"
    view.locator("#clear").click()
    assert count(view) == "2 to correct, 1 right", "a label that a person called right stays"
    view.locator("#clear").click()
    assert count(view) == "1 right"
    view.locator(".tick input").nth(0).check()
    assert count(view) == "1 to correct", "a label is right or wrong, never both"


def test_undecided_products_can_be_shown_alone(view: Any, tmp_path: Path) -> None:
    view.goto(sheet(tmp_path, products=4, clear=0))
    assert view.locator("#clear").count() == 0
    view.locator(".keep").nth(1).click()
    view.locator(".chip[data-open]").click()
    assert view.locator("article:visible").count() == 3


def test_a_phone_shows_words_and_not_letters(view: Any, tmp_path: Path) -> None:
    view.set_viewport_size({"width": 390, "height": 844})
    view.goto(sheet(tmp_path, products=2))
    assert view.evaluate("document.documentElement.scrollWidth") <= 390
    title, reason = (view.locator(name).first.bounding_box() for name in ("h2", ".reason"))
    assert title["width"] > 200 and title["height"] < 60 and reason["height"] < 90
    assert view.locator("td.label").first.bounding_box()["height"] < 40
    assert view.locator("#download").is_visible()


def test_an_empty_sheet_says_that_nothing_was_found(view: Any, tmp_path: Path) -> None:
    view.goto(sheet(tmp_path, products=0))
    assert "Nothing was found. 50 labelled products were checked" in view.locator("[role=status]").inner_text()
    assert view.locator("button").count() == 0 and "Tick each" not in view.locator("body").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_of_the_sheet_has_contrast(view: Any, tmp_path: Path, scheme: str) -> None:
    view.emulate_media(color_scheme=scheme)
    view.goto(sheet(tmp_path, products=3))
    view.locator(".keep").nth(0).click()
    view.locator(".tick input").nth(1).check()
    assert faint_texts(view) == []
    view.evaluate("document.querySelector('h1').style.color = '#777'")
    assert len(faint_texts(view)) == 1, "the measure finds what is faint"
