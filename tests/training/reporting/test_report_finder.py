"""The products behind the numbers: small pictures, links, and what the page's script reads."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image
from written_run import LABELS, MODELS, TEST, write_catalogue, write_run

from training.reporting.document.blocks import Finder, Section
from training.reporting.document.html import render_html
from training.reporting.document.links import products_link
from training.reporting.figures import style, thumbnails
from training.reporting.figures.thumbnails import PER_SHEET, SIDE, draw_thumbnails
from training.reporting.report import write_report
from training.reporting.sections.product_finder import rounded_scores

WRONG = {"image": [0, 1, 2], "text": [3], "intermediate": [0, 5], "baseline": [0, 1]}


@pytest.fixture(scope="module", autouse=True)
def coarse_figures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "RESOLUTION", 60)
        yield


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (30, 40), (number % 256, number // 256, 90))


def content_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="finder-content">(.*?)</script>', page, re.S)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    catalogue = write_catalogue(tmp_path_factory.mktemp("shop"), products=30, titles={2: ""})
    run = write_run(tmp_path_factory.mktemp("runs") / "shop", catalogue, wrong=WRONG)
    (catalogue.parent / "images" / "4.png").unlink()
    return write_report([run]).read_text(encoding="utf-8")


def test_a_tile_is_where_its_number_says() -> None:
    names = [str(number) for number in range(PER_SHEET + 20)]
    drawn = draw_thumbnails(names, lambda name: None if name == "3" else picture(int(name)))
    assert len(drawn.sheets) == 2 and "3" not in drawn.tiles and len(set(drawn.tiles.values())) == len(names) - 1
    for name in ("0", "100", str(PER_SHEET + 19)):
        sheet, place = divmod(drawn.tiles[name], PER_SHEET)
        with Image.open(io.BytesIO(drawn.sheets[sheet])) as image:
            left, top = place % 16 * SIDE, place // 16 * SIDE
            pixel = image.convert("RGB").getpixel((left + SIDE // 2, top + SIDE // 2))
        assert pixel == pytest.approx((int(name) % 256, int(name) // 256, 90), abs=12)


def test_pictures_stop_where_the_file_would_grow_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MOST_BYTES", 1)
    assert draw_thumbnails(["1", "2"], lambda name: picture(int(name))) == ([], {})


def test_a_link_names_its_filters() -> None:
    link = products_link(model="late", truth="Kids' & Baby #1", result="wrong", low=0.6, high=0.7)
    start, query = link.split("?")
    assert start == "#products" and "'" not in link and "#" not in query and '"' not in link
    expected = {"model": "late", "truth": "Kids' & Baby #1", "result": "wrong", "above": "60", "upto": "70"}
    assert {name: value[0] for name, value in parse_qs(query).items()} == expected
    assert products_link(truth="a", not_predicted=[3, 5]) == "#products?truth=a&predicted=~3~5&result=all"


def test_the_page_holds_every_test_product_once(page: str) -> None:
    content = content_of(page)
    assert sorted(content["ids"]) == sorted(f"p{number}" for number in range(TEST))
    assert [each["key"] for each in content["models"]] == [*MODELS, "baseline"] and content["labels"] == list(LABELS)
    row = content["ids"].index("p0")
    image = content["models"][0]
    assert image["chosen"][row] != content["truth"][row] and image["scores"][row] == 9000
    assert content["models"][-1]["scores"] is None
    assert content["modalities"][content["ids"].index("p2")] == 1, "a product without a title"
    assert content["tiles"][content["ids"].index("p4")] == -1, "its file is gone"
    assert content["ids"][0] == "p0", "what most models get wrong comes first"


def test_numbers_of_the_report_lead_to_as_many_products(page: str) -> None:
    content = content_of(page)
    chosen = np.array(next(each["chosen"] for each in content["models"] if each["key"] == "intermediate"))
    truth = np.array(content["truth"])
    cells = re.findall(r'<td class="heat\d"><a href="#products\?([^"]+)"[^>]*>(\d+)</a>', page)
    assert sum(int(number) for _, number in cells) == TEST and len(cells) > len(LABELS)
    for query, number in cells:
        asked = {name: value[0] for name, value in parse_qs(query.replace("&amp;", "&")).items()}
        places = (LABELS.index(asked["truth"]), LABELS.index(asked["predicted"]))
        assert ((truth == places[0]) & (chosen == places[1])).sum() == int(number)


def test_scores_are_rounded_as_the_page_filters_them() -> None:
    assert rounded_scores(np.array([[0.7, 0.3], [0.00004, 0.99996]], dtype=np.float32)).tolist() == [7000, 10000]


def test_more_answers_than_fit_are_said_to_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.reporting.sections.product_finder.MOST_ANSWERED", 4)
    run = write_run(tmp_path / "run", write_catalogue(tmp_path / "shop", products=30), wrong=WRONG)
    page = write_report([run]).read_text(encoding="utf-8")
    assert "4 of 12 test answers" in page and len(content_of(page)["ids"]) == 4


def test_no_text_of_the_catalogue_ends_the_data(tmp_path: Path) -> None:
    section = Section("products", "t", [Finder({"titles": ["</script><a> & b"]}, [b"sheet"])])
    page = render_html("t", "s", [section], figures=tmp_path)
    assert '{"titles":["\\u003c/script\\u003e\\u003ca\\u003e \\u0026 b"]}' in page and 'class="sheet">c2hlZXQ=<' in page
