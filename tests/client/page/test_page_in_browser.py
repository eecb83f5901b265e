"""The page in a real browser, in front of a fake server: contrast, keys, phones, tables, the state of the server."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_torchserve import FakeTorchServe
from known_model import RED, picture
from PIL import Image

from client.page.browser import missing
from client.page.serving import PageOptions
from training.data.corrections import read_corrections

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
Pages = Callable[[PageOptions], AbstractContextManager[str]]
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")
LONG = "Accessory Gift Set for Women with Sunglasses and Handbag"
REASONS = {
    "text": [{"token": "Red", "weight": -0.5}, {"token": "Shoes", "weight": 2.0}],
    "image": {"grid": [[0.1] * 7] * 7},
    "modality": {"image": 0.25, "text": 0.75},
}


@pytest.fixture(scope="module")
def page_options(tmp_path_factory: pytest.TempPathFactory) -> PageOptions:
    folder = tmp_path_factory.mktemp("page")
    rows = ['2,p1,,Red Bag,Shirts,0.3,true,unsure,,text,"[{""label"": ""Shirts"", ""score"": 0.3}]"']
    header = "line,id,image,text,label,score,needs_review,review,set,modalities,top"
    (folder / "review.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return PageOptions(corrections=folder / "corrections.csv", review=folder / "review.csv")


@pytest.fixture(scope="module")
def url(page_config: Any, page_options: PageOptions, fake: FakeTorchServe) -> Iterator[str]:
    from client.page.browser import running_page  # noqa: PLC0415 - loads nothing where the page is not installed

    fake.reasons = REASONS
    with running_page(page_config, page_config.tokens(), page_options) as url:
        yield url


def opened(view: Any, url: str) -> Any:
    view.goto(url)
    view.locator("#state .state").wait_for()
    return view


def answered(view: Any, title: str = "Blue Shoes") -> Any:
    view.locator("#title textarea").fill(title)
    view.locator("#ask").click()
    view.locator("#answer .headline, #answer .problem").first.wait_for()
    return view


def faults(view: Any) -> list[str]:
    """What axe-core finds against WCAG 2.1 AA, its contrast of text among it."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - the tests are skipped without it

    view.wait_for_timeout(400)  # colours in transition have another contrast
    found = Axe().run(view, options={"runOnly": list(RULES), "resultTypes": ["violations"]}).response
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_breaks_the_rules_of_accessibility(view: Any, url: str, theme: str, width: int, tmp_path: Path) -> None:
    view.set_viewport_size({"width": width, "height": 900})
    opened(view, f"{url}/?__theme={theme}")
    assert not faults(answered(view))
    view.locator(".calls summary").click()
    assert not faults(view)
    view.get_by_role("tab", name="A whole catalogue").click()
    view.locator("#score").click()
    view.locator("#summary .problem").wait_for()
    assert not faults(view)
    (tmp_path / "products.csv").write_text("id,text\n1,Red Shoes\n2,\n", encoding="utf-8")
    view.locator("#table input[type=file]").set_input_files(tmp_path / "products.csv")
    view.locator("#summary .large", has_text="2 columns").wait_for()
    view.locator("#score").click()
    view.locator("#summary .tiles").wait_for()
    assert not faults(view)
    view.get_by_role("tab", name="Review").click()
    view.locator(".desk").wait_for()
    assert not faults(view)


def overflowing(view: Any) -> list[str]:
    """Parts of an answer that stand out of their card or the screen, and words that are broken."""
    return list(
        view.evaluate("""() => {
          const card = document.querySelector(".answer, .sheet").getBoundingClientRect();
          const out = [...document.querySelectorAll(".answer *, .sheet *")].filter(each => {
            const box = each.getBoundingClientRect();
            const outside = box.right > card.right + 1 || box.left < card.left - 1;
            return box.width && !each.closest("pre, .unseen") && outside;
          });
          return [...out.map(each => each.className || each.tagName),
                  ...(document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [])];
        }""")
    )


def test_a_phone_shows_the_answer_within_its_card(view: Any, url: str, fake: FakeTorchServe) -> None:
    version = fake.models["intermediate"]["1.0"]
    version.answer = lambda product: {
        "label": LONG,
        "score": 0.318,
        "top": [{"label": LONG, "score": 0.318}, {"label": "Bags", "score": 0.2}],
        "modalities": [name for name in ("image", "text") if product.get(name)],
        "needs_review": True,
        "review": ["unsure", "picture_and_title_disagree"],
        "model": {"name": "intermediate", "version": "1.0", "backend": "fake"},
    }
    view.set_viewport_size({"width": 390, "height": 844})
    opened(view, url).locator("#picture input[type=file]").set_input_files(
        {"name": "4711.png", "mimeType": "image/png", "buffer": picture(RED)}
    )
    view.locator("#picture img").wait_for()
    answered(view)
    version.answer = None
    view.wait_for_function("document.querySelector('.headline').getBoundingClientRect().top < innerHeight * 0.7")
    box = view.locator(".headline").bounding_box()
    assert 0 <= box["y"] < 844 and not overflowing(view)
    broken = view.evaluate("""() => [...document.querySelectorAll(".headline h2, .bars .name")].filter(each => {
      const text = each.firstChild, range = document.createRange();
      return [...text.data.matchAll(/\\S+/g)].some(word => {
        range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
        return range.getClientRects().length > 1;
      });
    }).map(each => each.textContent)""")
    assert not broken


def test_everything_works_by_keys_and_is_announced(view: Any, url: str) -> None:
    opened(view, url)
    view.locator("#title textarea").focus()
    view.keyboard.type("Blue Bags ${1} {{2}} <b>")
    view.keyboard.press("Enter")
    view.locator("#said", has_text="intermediate 1.0: Bags, 80.0%, no review needed").wait_for(state="attached")
    assert "${1} {{2}} <b>" in view.locator(".calls code").first.text_content()
    names = [each.inner_text().strip() for each in view.locator("#examples button").all()]
    assert len(set(names)) == len(names) == 3
    view.locator("#examples button").nth(1).focus()
    view.keyboard.press("Enter")
    view.locator("#said", has_text="Shoes, 80.0%").wait_for(state="attached")
    reached = set()
    for _ in range(60):
        view.keyboard.press("Tab")
        reached.add(
            view.evaluate("""() => {
              const here = document.activeElement;
              return (here.closest("#examples, #ask, #wrong-save, #answer") || {}).id + " " + here.tagName;
            }""")
        )
    assert {"ask BUTTON", "examples BUTTON", "wrong-save BUTTON", "answer SUMMARY"} <= reached, reached


def test_a_wrong_answer_is_corrected_in_the_same_file(view: Any, url: str, page_options: PageOptions) -> None:
    opened(view, url).locator("#picture input[type=file]").set_input_files(
        {"name": "4711.png", "mimeType": "image/png", "buffer": picture(RED)}
    )
    view.locator("#picture img").wait_for()
    answered(view)
    assert view.locator("#wrong-id textarea, #wrong-id input").input_value() == "4711"
    view.locator("#wrong-save").click()
    view.locator("#wrong-outcome .problem", has_text="choose one").wait_for()
    view.locator("#wrong-label input").click()
    view.locator("#wrong-label input").fill("Bags")
    view.keyboard.press("Enter")
    view.locator("#wrong-save").click()
    view.locator("#wrong-outcome .saved", has_text="4711 is Bags").wait_for()
    assert ("4711", "Bags") in [(each.id, each.label) for each in read_corrections(page_options.corrections)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jpg", b"%PDF-1.7", "The picture: of a format that the page does not read; it reads JPEG, PNG"),
        ("a.gif", b"GIF89a, and nothing more", "The picture: a GIF that cannot be decoded; save it again as a JPEG."),
    ],
)
def test_a_picture_that_is_none_is_a_sentence(browser: Any, url: str, name: str, content: bytes, said: str) -> None:
    view = browser.new_page()
    view.set_default_timeout(30_000)
    picture_box = opened(view, url).locator("#picture input[type=file]")
    picture_box.set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": content})
    view.locator("#picture img").wait_for(state="attached")
    view.locator("#ask").click()
    view.locator("#answer .problem", has_text=said).wait_for()
    view.close()


def test_a_foreign_picture_is_shown_and_answered(view: Any, url: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), RED).save(buffer, "AVIF")
    opened(view, url).locator("#picture input[type=file]").set_input_files(
        {"name": "4712.avif", "mimeType": "image/avif", "buffer": buffer.getvalue()}
    )
    view.wait_for_function("(document.querySelector('#picture img') || {}).src?.endsWith('.jpg')")
    answered(view)
    assert view.locator(".overlay img").count() == 2
    assert view.locator("#wrong-id textarea, #wrong-id input").input_value() == "4712"


def test_versions_come_and_go_without_a_reload(view: Any, url: str, fake: FakeTorchServe) -> None:
    opened(view, url)
    fake.models["intermediate"]["2.0"] = type(fake.models["intermediate"]["1.0"])("intermediate-2.0.mar", ["READY"])
    view.locator("#state", has_text="1 more").wait_for()
    view.locator("#first input").click()
    view.get_by_role("option", name="intermediate 2.0").click()
    answered(view)
    view.locator(".who", has_text="intermediate 2.0").wait_for()
    del fake.models["intermediate"]["2.0"]
    view.locator("#ask").click()
    view.locator(".note", has_text="intermediate 2.0 is not served any more: intermediate 1.0 answers.").wait_for()
    view.wait_for_function("document.querySelector('#first input').value === 'intermediate 1.0'")


def a_table(folder: Path) -> Path:
    rows = [["sku", "photo", "product title"], *([f"a{row}", f"{row}.gif", "Blue Shoes"] for row in range(20))]
    with (folder / "shop.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "shop.csv"


def test_a_table_without_its_pictures_is_scored_by_titles(view: Any, url: str, tmp_path: Path) -> None:
    opened(view, url).get_by_role("tab", name="A whole catalogue").click()
    view.locator("#table input[type=file]").set_input_files(a_table(tmp_path))
    view.locator("#summary .large", has_text="3 columns").wait_for()
    chosen = [view.locator(f"#{name} input").input_value() for name in ("image-column", "text-column", "id-column")]
    assert chosen == ["photo", "product title", "sku"]
    view.locator("#score").click()
    view.locator("#summary .problem", has_text="not in shop.csv").wait_for()
    view.locator("#titles-alone").click()
    view.locator("#summary .tiles").wait_for()
    assert view.locator("#summary .tiles dd").all_inner_texts() == ["20", "20", "0", "0"]


def test_foreign_pictures_of_a_zip_are_converted_and_reviewed(
    view: Any, url: str, fake: FakeTorchServe, tmp_path: Path, page_options: PageOptions
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), RED).save(buffer, "GIF")
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as content:
        content.write(a_table(tmp_path), "shop.csv")
        for row in range(20):
            content.writestr(f"{row}.gif", buffer.getvalue())
    version = fake.models["intermediate"]["1.0"]
    version.answer = lambda product: {
        "label": "Shoes",
        "score": 0.4,
        "top": [{"label": "Shoes", "score": 0.4}],
        "modalities": [name for name in ("image", "text") if product.get(name)],
        "needs_review": True,
        "review": ["unsure"],
        "model": {"name": "intermediate", "version": "1.0", "backend": "fake"},
    }
    opened(view, url).get_by_role("tab", name="A whole catalogue").click()
    view.locator("#table input[type=file]").set_input_files(tmp_path / "shop.zip")
    view.locator("#summary .large", has_text="3 columns").wait_for()
    view.locator("#score").click()
    view.locator("#summary .tiles").wait_for()
    version.answer = None
    assert view.locator("#summary .tiles dd").all_inner_texts() == ["20", "20", "20", "0"]
    assert "image+text" in view.locator("#summary").inner_text()
    view.locator("#go-review", has_text="Review 20 products").click()
    view.locator(".desk .large img").wait_for()
    view.keyboard.press("1")
    view.locator("#review-count", has_text="1 of 20 decided").wait_for()
    assert read_corrections(page_options.corrections)[-1][1:] == ("a0", "", "", "Shoes")


def test_other_sites_may_not_ask_the_page(url: str, page_options: PageOptions) -> None:
    with httpx.Client(base_url=url) as client:
        assert client.get("/").status_code == 200
        host = url.removeprefix("http://")
        assert client.get("/", headers={"Origin": f"http://{host}"}).status_code == 200
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            answer = client.post("/gradio_api/queue/join", json={}, headers=headers)
            assert answer.status_code == 403 and "127.0.0.1" in answer.text
