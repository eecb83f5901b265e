"""The review tab in a real browser, in front of a fake server: by keys alone, each decision in the file at once."""

import csv
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fake_torchserve import LABELS
from known_model import BLUE, RED, picture

from client.page.browser import missing
from client.page.serving import PageOptions
from training.data.corrections import read_corrections

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
Pages = Callable[[PageOptions], AbstractContextManager[str]]
PRODUCTS = 60
MINUTES = 3


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A catalogue of 60 products with pictures, and its review queue beside it."""
    rows = []
    for number in range(PRODUCTS):
        (tmp_path / f"{number}.png").write_bytes(picture(RED if number % 2 else BLUE))
        top = [{"label": label, "score": score} for label, score in zip(LABELS, (0.4, 0.35, 0.25), strict=True)]
        reason = "picture_and_title_disagree" if number % 3 == 0 else "unsure"
        cells = [number + 2, f"p{number:02}", f"{number}.png", f"Product {number}", "Shirts", 0.1 + number / 100]
        rows.append([*cells, "true", reason, "", "image+text", json.dumps(top)])
    header = ["line", "id", "image", "text", "label", "score", "needs_review", "review", "set", "modalities", "top"]
    (tmp_path / "scores").mkdir()
    with (tmp_path / "scores" / "review.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    with (tmp_path / "products.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "image", "text"], *([row[1], row[2], row[3]] for row in rows)])
    return tmp_path


@pytest.fixture
def page_options(scored: Path) -> PageOptions:
    return PageOptions(corrections=scored / "corrections.csv", review=scored / "scores", data=scored / "products.csv")


@pytest.fixture
def url(page_of: Pages, page_options: PageOptions, view: Any) -> Iterator[str]:
    with page_of(page_options) as url:
        yield url
        view.close()  # before its server ends


def at_review(view: Any, url: str) -> Any:
    view.goto(url)
    view.get_by_role("tab", name="Review").click()
    view.locator(".desk").wait_for()
    return view


def shown_id(view: Any) -> str:
    return str(view.locator(".desk .id").inner_text()).split(" ")[0]


def press(view: Any, key: str) -> None:
    """Press a key, and wait for what it does."""
    before = view.locator(".desk").get_attribute("data-said")
    view.keyboard.press(key)
    view.wait_for_function("before => document.querySelector('.desk').dataset.said !== before", arg=before)


def decisions(page_options: PageOptions) -> dict[str, str]:
    return {each.id: each.label for each in read_corrections(page_options.corrections)}


def test_sixty_products_in_three_minutes_by_keys_alone(view: Any, url: str, page_options: PageOptions) -> None:
    at_review(view, url)
    began, wanted, seen = time.monotonic(), {}, []
    for number in range(PRODUCTS):
        id = shown_id(view)
        seen.append(id)
        if number % 10 == 9:  # something else, by its first letters
            view.keyboard.press("/")
            view.keyboard.type("ba")
            press(view, "Enter")
            wanted[id] = "Bags"
        else:
            press(view, str(number % 3 + 1))
            wanted[id] = LABELS[number % 3]
        assert decisions(page_options) == wanted
    assert time.monotonic() - began < 60 * MINUTES
    assert "All products are decided" in view.locator(".desk").inner_text()
    disagree = [f"p{number:02}" for number in range(0, PRODUCTS, 3)]
    assert seen == [*disagree, *(f"p{number:02}" for number in range(PRODUCTS) if number % 3)], "by reason, then doubt"


def test_skip_undo_and_a_new_class_survive_a_reload(view: Any, url: str, page_options: PageOptions) -> None:
    at_review(view, url)
    assert view.locator(".large img").is_visible() and view.locator(".classes button").count() == len(LABELS)
    press(view, "2")
    press(view, "s")
    assert shown_id(view) == "p06" and decisions(page_options) == {"p00": "Shoes"}
    press(view, "u")
    press(view, "u")
    assert shown_id(view) == "p00" and view.locator("[data-action=undo]").is_disabled()
    assert page_options.corrections.read_text(encoding="utf-8-sig") == "id,column,given,label\n"
    view.keyboard.press("/")
    view.keyboard.type("Umbrellas, large")
    view.keyboard.press("Enter")
    view.locator("#other-advice", has_text="new class").wait_for()
    press(view, "Enter")
    assert decisions(page_options) == {"p00": "Umbrellas, large"}
    press(view, "s")
    at_review(view, url)
    assert shown_id(view) == "p06", "the decision and the skipped one are known"
    assert "1 of 60 decided, 1 skipped" in view.locator("#review-count").inner_text()


def test_a_decision_survives_the_page(view: Any, browser: Any, page_of: Pages, page_options: PageOptions) -> None:
    page_options.corrections.write_text(
        'id,column,given,label\nold,articleType,Tops,"Shirts, long"\n', encoding="utf-8"
    )
    first = browser.new_page()
    with page_of(page_options) as url:
        press(at_review(first, url), "3")
        first.close()
    with page_of(page_options) as url:
        at_review(view, url)
        assert shown_id(view) == "p03"
        view.close()
    assert [each[1:] for each in read_corrections(page_options.corrections)] == [
        ("old", "articleType", "Tops", "Shirts, long"),
        ("p00", "", "", "Bags"),
    ]


def test_keys_that_are_typed_elsewhere_decide_nothing(view: Any, url: str, page_options: PageOptions) -> None:
    at_review(view, url)
    view.keyboard.press("/")
    view.keyboard.type("1s2u")
    view.keyboard.press("Escape")
    assert view.locator("#other-class").input_value() == ""
    view.keyboard.press("9")  # there are three classes
    view.get_by_role("tab", name="One product").click()
    view.locator("#title textarea").fill("")
    view.locator("#title textarea").press("1")
    view.keyboard.press("Tab")
    view.keyboard.press("1")
    view.get_by_role("tab", name="Review").click()
    assert shown_id(view) == "p00" and not page_options.corrections.exists()
