"""The page in a real browser, in front of a live server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.server.systems.torchserve_config import write_config
from client.api.inference import ProductClient
from client.api.management import Management
from client.api.tokens import KEY_FILE, Tokens
from client.archives.model_store import ModelStore
from client.audit.findings import Finding, ModalityAnswer
from client.audit.sheet import write_sheet
from client.page.browser import PATIENCE, missing, open_browser, running_page
from client.page.serving import PageOptions
from client.server.config import ServerConfig
from training.catalog import CatalogSource
from training.data.corrections import read_corrections

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    # Gradio's and its dependencies' own; what of ours warns, warns in the tests without a browser.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
HERE = ("http://127.0.0.1:", "data:", "blob:")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_options(tmp_path_factory: pytest.TempPathFactory) -> PageOptions:
    return PageOptions(corrections=tmp_path_factory.mktemp("page") / "corrections.csv")


@pytest.fixture(scope="module")
def url(config: ServerConfig, page_options: PageOptions) -> Iterator[str]:
    with running_page(config, config.tokens(), page_options) as url:
        uploads = Path(os.environ["GRADIO_TEMP_DIR"])
        yield url
        assert any(uploads.rglob("*.jpg"))
    assert not uploads.parent.exists() and "GRADIO_TEMP_DIR" not in os.environ


@pytest.fixture
def view(browser: Any) -> Iterator[Any]:
    """A tab that may fetch from this machine alone, and whose scripts do not fail."""
    view = browser.new_page()
    view.set_default_timeout(1000 * PATIENCE)
    faults: list[str] = []
    view.on("request", lambda request: request.url.startswith((*HERE, "file:")) or faults.append(request.url))
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("console", lambda message: message.type == "error" and faults.append(message.text))
    yield view
    view.close()
    assert not faults


def opened(view: Any, url: str) -> Any:
    view.goto(url)
    view.locator("#state .state").wait_for()
    return view


def answer(view: Any) -> str:
    view.locator("#answer .headline, #answer .problem").first.wait_for()
    return str(view.locator("#answer").inner_text())


def test_an_example_is_answered_with_its_reasons(view: Any, url: str, client: ProductClient) -> None:
    opened(view, url).locator("#examples button").first.click()
    text = answer(view)
    title = view.locator("#title textarea").input_value()
    assert "Reasons" in text or "REASONS" in text
    assert view.locator(".overlay img.heat").count() == 1 and view.locator(".bars li").count() == 5
    assert view.locator(".alone tr").count() == 3
    assert [each.split("\n")[0] for each in view.locator(".word").all_inner_texts()]
    assert client.predict(text=title).label in view.locator(".alone tr").nth(1).inner_text()
    assert view.locator(".flag").count() == 4


@pytest.fixture
def second_version(management: Management) -> Iterator[str]:
    management.register("intermediate-2.0.mar")
    management.wait_ready("intermediate", "2.0")
    yield "intermediate 2.0"
    management.unregister("intermediate", "2.0")


def test_a_dropped_picture_and_a_typed_title_by_two_versions(
    view: Any, url: str, second_version: str, client: ProductClient, drawn_catalogue: Path
) -> None:
    picture, title = drawn_catalogue.parent / "images" / "00001.jpg", "Marlow Men Navy Classic Running Shoes"
    opened(view, url).locator("#picture input[type=file]").set_input_files(picture)
    view.locator("#picture img").wait_for()
    view.locator("#title textarea").fill(title)
    view.locator("#ask").click()
    assert client.predict(picture, title).label in answer(view)
    view.locator("#second input").click()
    view.get_by_role("option", name=second_version).click()
    view.locator(".answers.two").wait_for()
    assert view.locator(".answer .who").all_inner_texts() == ["intermediate 1.0", second_version]
    assert view.locator(".verdict.same").count() == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xd8\xff broken", "The picture: cannot be decoded"),
        (b"GIF89a, and nothing more", "The picture: a GIF that cannot be decoded"),
        (b"%PDF-1.7", "The picture: of a format that the page does not read"),
    ],
    ids=["broken", "gif", "pdf"],
)
def test_a_broken_picture_is_a_sentence(browser: Any, url: str, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "product.jpg").write_bytes(content)
    view = browser.new_page()
    view.set_default_timeout(1000 * PATIENCE)
    opened(view, url).locator("#picture input[type=file]").set_input_files(tmp_path / "product.jpg")
    view.locator("#picture img").wait_for(state="attached")
    view.locator("#ask").click()
    text = answer(view)
    assert said in text and "Traceback" not in text and str(tmp_path) not in text
    view.close()


def test_a_table_is_scored(view: Any, url: str, tmp_path: Path) -> None:
    table = tmp_path / "products.csv"
    table.write_text("id,text\n" + "".join(f"{row},Red Shoe {row}\n" for row in range(30)) + "x,\n", encoding="utf-8")
    opened(view, url).get_by_role("tab", name="A whole catalogue").click()
    view.locator("#score").click()
    view.locator("#summary .problem").wait_for()
    assert "No table was uploaded" in view.locator("#summary").inner_text()
    view.locator("#table input[type=file]").set_input_files(table)
    view.locator("#summary .large", has_text="2 columns found").wait_for()
    view.locator("#score").click()
    view.locator("#summary .tiles").wait_for()
    assert view.locator("#summary .tiles dd").all_inner_texts()[:2] == ["31", "30"]
    assert "product_empty" in view.locator("#summary").inner_text()
    with view.expect_download() as download:
        view.locator("#files a[download='predictions.csv'], #files a:has-text('KB')").first.click()
    assert Path(download.value.path()).stat().st_size > 0


def test_the_examples_for_the_api_give_the_answer_on_the_screen(
    view: Any, url: str, drawn_catalogue: Path, tmp_path: Path, client: ProductClient
) -> None:
    picture, title = drawn_catalogue.parent / "images" / "00001.jpg", '@home; "Men\'s" $HOME Navy <Shoes>'
    opened(view, url).locator("#picture input[type=file]").set_input_files(picture)
    view.locator("#picture img").wait_for()
    view.locator("#title textarea").fill(title)
    view.locator("#ask").click()
    answer(view)
    curl, python = view.locator(".calls code").all_text_contents()
    shutil.copy(picture, tmp_path)
    (tmp_path / "ask.py").write_text(python, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    asked: dict[str, Any] = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    expected = client.predict(picture, title)
    label = subprocess.run([sys.executable, "ask.py"], check=True, **asked).stdout
    assert label.startswith(f"{expected.label} {expected.score:.4f}"[:-1])
    if shutil.which("curl"):
        found = json.loads(subprocess.run(["bash", "-c", curl], check=True, **asked).stdout)
        assert found["label"] == expected.label and found["score"] == pytest.approx(expected.score, abs=1e-4)


def test_a_server_that_is_down_is_a_sentence(
    view: Any, store: ModelStore, tmp_path: Path, page_options: PageOptions
) -> None:
    down = write_config(tmp_path, store=store.folder)
    with running_page(down, down.tokens(), page_options) as url:
        view.goto(url)
        view.locator("#state .problem").wait_for()
        assert "No server answers at http://127.0.0.1:" in view.locator("#state").inner_text()
        view.locator("#examples button").first.click()
        assert "make serve" in answer(view)


def test_a_token_that_the_server_does_not_take_is_a_sentence(
    view: Any, config: ServerConfig, tmp_path: Path, page_options: PageOptions
) -> None:
    keys = json.loads(config.tokens().path.read_text(encoding="utf-8"))
    strange = {role: {**entry, "key": "strange"} for role, entry in keys.items()}
    (tmp_path / KEY_FILE).write_text(json.dumps(strange), encoding="utf-8")
    with running_page(config, Tokens(tmp_path / KEY_FILE), page_options) as url:
        view.goto(url)
        view.locator("#state .problem").wait_for()
        assert "refuses the page's token" in view.locator("#state").inner_text()


def test_the_sheet_of_an_audit_yields_corrections(view: Any, tmp_path: Path, drawn_catalogue: Path) -> None:
    said = (ModalityAnswer("together", "Shoes", 0.9),)
    found = [
        Finding(f'p{row}, "{row}"', row, "", "Red Shoe", "Bags", "Shoes", "unanimous", True, 0.1, said)
        for row in range(3)
    ]
    source = CatalogSource(path=str(drawn_catalogue), label_column="label")
    write_sheet(tmp_path / "audit.html", found, source=source, labels=["Bags", "Hats", "Shoes"], checked=3)
    view.goto((tmp_path / "audit.html").as_uri())
    assert view.locator("#download").is_disabled()
    view.locator(".tick input").nth(0).check()
    view.locator(".right").nth(2).fill("Hats")
    view.locator(".right").nth(1).fill("Bags")
    assert view.locator(".fault").nth(1).inner_text() == "this is the label in the catalogue"
    assert view.locator("#count").inner_text() == "2 to correct"
    with view.expect_download() as download:
        view.locator("#download").click()
    corrections = read_corrections(Path(download.value.path()))
    assert [each[1:] for each in corrections] == [
        ('p0, "0"', "label", "Bags", "Shoes"),
        ('p2, "2"', "label", "Bags", "Hats"),
    ]
