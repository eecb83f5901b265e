"""The report in a real browser: from a number to its products, and back, on any width."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_contrast import faint_texts
from written_run import write_catalogue, write_run

from client.page.browser import missing, open_browser
from training.reporting.figures import style
from training.reporting.report import write_report

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
WRONG = {"image": [0, 1, 2], "text": [3], "intermediate": [0, 5], "baseline": [0, 1]}
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    catalogue = write_catalogue(tmp_path_factory.mktemp("shop"), products=30)
    catalogue.write_text(catalogue.read_text(encoding="utf-8").replace("Shirts", HOSTILE), encoding="utf-8")
    labels = ("Bags", HOSTILE, "Shoes")
    run = write_run(tmp_path_factory.mktemp("runs") / "shop", catalogue, labels=labels, wrong=WRONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "RESOLUTION", 60)
        return write_report([run])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def view(browser: Any, report: Path) -> Iterator[Any]:
    """The open report; its scripts do not fail, and it fetches nothing."""
    view = browser.new_page(viewport={"width": 1440, "height": 900})
    faults: list[str] = []
    view.on("request", lambda request: request.url.startswith(("file:", "data:")) or faults.append(request.url))
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("console", lambda message: message.type == "error" and faults.append(message.text))
    view.goto(report.as_uri())
    view.locator("#found-products canvas").first.wait_for()
    yield view
    view.close()
    assert not faults


def found(view: Any) -> str:
    return str(view.locator("#found").inner_text())


def test_a_cell_of_the_matrix_opens_its_products(view: Any) -> None:
    assert found(view) == "2 of 12 answers", "the wrong ones at first"
    cell = view.locator(".matrix td a").first
    number = cell.inner_text()
    cell.click()
    view.wait_for_function("location.hash.startsWith('#products?')")
    assert found(view) == f"{number} of 12 answers"
    assert view.evaluate("document.activeElement.textContent") == "Look at the products"
    view.go_back()
    view.locator(".intervals a").first.click()
    view.wait_for_function("document.querySelector('#found').textContent.startsWith('3 of')")
    assert view.locator(".finder select[name=model]").input_value() == "image"


def test_filters_choose_and_a_card_shows_every_answer(view: Any) -> None:
    view.locator("#clear").click()
    assert found(view) == "12 of 12 answers"
    view.locator("[name=words]").fill("p0")
    assert found(view) == "1 of 12 answers"
    card = view.locator("#found-products li")
    assert HOSTILE in card.inner_text() and card.locator("dl > div").count() == 6
    assert "is-wrong" in card.get_attribute("class")
    view.locator("[name=model]").select_option("late")
    assert "is-right" in card.get_attribute("class")
    view.locator("[name=above]").fill("95")
    assert found(view).startswith("none of 12")


def test_contents_are_beside_the_text_or_above_it(view: Any) -> None:
    assert view.locator("nav").bounding_box()["x"] < view.locator("main").bounding_box()["x"] - 100
    view.set_viewport_size({"width": 390, "height": 844})
    assert view.locator("nav").bounding_box()["y"] < view.locator("main").bounding_box()["y"]
    assert view.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_keyboard_reaches_the_products(view: Any) -> None:
    view.locator(".matrix td a").first.focus()
    view.keyboard.press("Enter")
    view.wait_for_function("document.activeElement.tagName === 'H2'")
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.name") == "model"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(view: Any, scheme: str) -> None:
    view.emulate_media(color_scheme=scheme)
    assert faint_texts(view) == []
    view.evaluate("document.querySelector('h1').style.color = '#777'")
    assert len(faint_texts(view)) == 1, "the measure finds what is faint"
