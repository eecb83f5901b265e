"""Takes the screenshots of the documentation from a running server: ``make docs-images``.

    make serve
    make docs-images TABLE=products.zip SHEET=audit/audit.html REPORT=runs/shop/report.html

The page shows the golden products of the loaded archive, and a second model if there is one. TABLE is a catalogue to
score and review on the page; SHEET is the sheet of an audit, REPORT the report of a run. Without one of these files,
its screenshots are not taken.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from client.api.errors import ClientError
from client.page.browser import PATIENCE, missing, open_browser, running_page
from client.page.serving import PageOptions
from client.server.config import CONFIG, read_config

SIZE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
COLOURS = 256


def main() -> int:
    """Take the screenshots; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--config", type=Path, default=CONFIG, help="configuration of the server (default: %(default)s)"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="catalogue to score: CSV, Parquet or zip")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="sheet of an audit")
    parser.add_argument("--report", type=Path, metavar="FILE", help="report of a run")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="output folder")
    options = parser.parse_args()
    try:
        if reason := missing():
            raise ClientError(reason)
        take_screenshots(options)
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def take_screenshots(options: argparse.Namespace) -> None:
    """Take all screenshots whose files the options name."""
    config = read_config(options.config)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        shown = PageOptions(corrections=Path(folder) / "corrections.csv")
        with running_page(config, config.tokens(), shown) as url:
            view = browser.new_page(viewport=SIZE, device_scale_factor=1)
            view.set_default_timeout(1000 * PATIENCE)
            _shoot_product(view, url, options.out / "page.png")
            if _choose_second(view):
                view.locator(".answers.two").wait_for()
                _shoot(view, options.out / "page-two.png")
            if options.table is not None:
                _shoot_catalogue(view, options.table, options.out)
            view.set_viewport_size(PHONE)
            _shoot_product(view, f"{url}/?__theme=dark", options.out / "page-phone.png", whole=False)
            view.close()
        if options.sheet is not None:
            sheet = browser.new_page(viewport=SIZE, device_scale_factor=1)
            sheet.goto(options.sheet.resolve().as_uri())
            for number in (0, 2):
                sheet.locator(".tick input").nth(number).check()
            sheet.locator(".keep").nth(1).click()
            _shoot(sheet, options.out / "audit.png", whole=False)
        if options.report is not None:
            report = browser.new_page(viewport=SIZE, device_scale_factor=1)
            report.goto(options.report.resolve().as_uri() + "#products?model=image&result=wrong")
            report.locator("#found-products canvas").first.wait_for()
            _shoot(report, options.out / "report.png", whole=False)


def _shoot_product(view: Any, url: str, path: Path, *, whole: bool = True) -> None:
    view.goto(url)
    view.locator("#state .state").wait_for()
    view.locator("#examples button").first.click()
    view.locator(".answer").wait_for()
    _shoot(view, path, whole=whole)


def _shoot_catalogue(view: Any, table: Path, out: Path) -> None:
    """A scored catalogue; its review too, if there is something to review."""
    view.get_by_role("tab", name="A whole catalogue").click()
    view.locator("#table input[type=file]").set_input_files(table)
    view.locator("#summary .large", has_text="columns found").wait_for()
    view.locator("#score").click()
    view.locator("#summary .tiles").wait_for()
    _shoot(view, out / "page-catalogue.png")
    if view.locator("#go-review").is_visible():
        view.locator("#go-review").click()
        for key in ("1", "2"):
            view.locator(".desk .classes").wait_for()
            view.keyboard.press(key)
            view.locator("#review-count", has_text=f"{key} of").wait_for()
        _shoot(view, out / "page-review.png")


def _choose_second(view: Any) -> bool:
    """Choose a second model; returns False if there is none."""
    view.locator("#second input").click()
    first = view.locator("#first input").input_value()
    others = [each for each in view.get_by_role("option").all() if each.inner_text().strip() != first]
    if len(others) < 2:  # the option "none" is always there
        view.keyboard.press("Escape")
        return False
    others[-1].click()
    return True


def _shoot(view: Any, path: Path, *, whole: bool = True) -> None:
    """Save a screenshot in 256 colours: a tenth of the size, without a visible difference."""
    view.mouse.move(0, 0)
    view.wait_for_timeout(600)  # until animations have ended
    picture = Image.open(io.BytesIO(view.screenshot(full_page=whole))).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size / 1000:,.0f} KB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
