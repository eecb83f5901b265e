"""The two writers: one report in both forms, and other people's text that stays text in each."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from training.reporting.document.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Figure,
    Group,
    Paragraph,
    Products,
    Section,
    Table,
    Tile,
    Tiles,
)
from training.reporting.document.html import render_html
from training.reporting.document.markdown import escape, render_markdown
from training.reporting.figures.products import CardAnswer, ProductCard

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></script><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "[click](javascript:alert(1)) ![x](http://bad/x.png)",
    "| a | b |\n|---|---|\n# heading\n- item",
    "`code` **bold** ~~gone~~ $x^2$ &amp; www.bad.com a@b.com",
    "\u202eevil\u202c \x00\x1b[31m nul",
)
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Elements in order with their attributes, their text, and what was closed wrongly."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    Image.new("RGB", (30, 20), "white").save(tmp_path / "chart.png")
    return tmp_path


def sections_of(text: str) -> list[Section]:
    """Every kind of block, with a text in every place that takes one."""
    picture = Image.new("RGB", (600, 800), "blue")
    card = ProductCard(picture, text, text, [CardAnswer(text, text, 0.5, True), CardAnswer(text, text, None, None)])
    bare = ProductCard(None, "", "", [CardAnswer("image", text, 0.001, False)])
    blocks: list[Block] = [
        Paragraph(text),
        Bullets([text, text]),
        Code(text),
        Tiles([Tile(text, text, text), Tile("1", "2")]),
        Table([Column(text), Column("number", True)], [[Cell(text), Cell("1.5", 1.5, "good")]], text, sortable=True),
        Figure("chart.png", text, text),
        Products([Group(text, [card]), Group("", [bare])], Figure("chart.png", text)),
    ]
    return [Section("first", text, blocks), Section("second", "plain", [Paragraph("x")])]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_html(text: str, figures: Path) -> None:
    plain = Page(render_html("title", "subtitle", sections_of("harmless"), figures=figures))
    page = Page(render_html(text, text, sections_of(text), figures=figures))
    assert page.elements[0][0] == plain.elements[0][0] == "html"
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert [sorted(attributes) for _, attributes in page.elements] == [sorted(each) for _, each in plain.elements]
    assert not page.open
    assert text.split("\x00", 1)[0].replace("\u202e", "").replace("\u202c", "").strip() in "".join(page.text)


def test_a_page_loads_nothing_and_runs_only_its_own_script(figures: Path) -> None:
    text = render_html("title", "subtitle", sections_of("x"), figures=figures)
    page = Page(text)
    addresses = [each[name] for _, each in page.elements for name in ("src", "href") if name in each]
    assert addresses and all(re.match(r"data:image/(png|jpeg);base64,|#", address or "") for address in addresses)
    assert not re.search(r"@import|url\(|https?://", text)
    [policy] = [each["content"] for each in page.all("meta") if "http-equiv" in each]
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert len(page.all("script")) == 1


def test_every_section_can_be_reached_and_every_picture_is_described(figures: Path) -> None:
    page = Page(render_html("title", "subtitle", sections_of("x"), figures=figures))
    assert [each["href"] for each in page.all("a")] == ["#first", "#second"]
    assert [each["id"] for each in page.all("section")] == ["first", "second"]
    assert all("alt" in each for each in page.all("img"))
    assert {"width": "30", "height": "20"}.items() <= page.all("img")[0].items()


def test_numbers_are_marked_for_alignment_and_for_sorting(figures: Path) -> None:
    page = Page(render_html("title", "subtitle", sections_of("x"), figures=figures))
    assert [each.get("class") for each in page.all("th")] == [None, "number", None]
    assert page.all("td") == [{"class": "number good", "data-sort": "1.5"}]
    assert page.all("table") == [{"class": "sortable"}]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_markdown(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)[`*_\[\]<>|#&$~]", escaped)
    assert not re.search(r"(?<!\\)://|www\.|\w@\w|[\x00\x1b\u202e]", escaped)


def test_markdown_says_the_same_in_the_same_order() -> None:
    text = render_markdown("A title", "and a line", sections_of("x_y"))
    assert text.startswith("# A title\n\nand a line\n\n## x\\_y\n\nx\\_y\n\n- x\\_y\n- x\\_y\n\n    x_y\n\n")
    assert "- **x\\_y** x\\_y (x\\_y)\n- **1** 2\n" in text
    assert "| x\\_y |  number |\n| ---- | ------: |\n| x\\_y | **1.5** |\n" in text
    assert text.count("![x\\_y](figures/chart.png)") == 2
    assert text.endswith("## plain\n\nx\n")


def test_a_long_table_is_cut_in_markdown_and_says_so(figures: Path) -> None:
    rows = [[Cell(str(number))] for number in range(50)]
    sections = [Section("long", "long", [Table([Column("n")], rows, first=40)])]
    text = render_markdown("t", "s", sections)
    assert "| 39  |" in text and "| 40  |" not in text and "10 more rows are in the HTML report." in text
    assert len(Page(render_html("t", "s", sections, figures=figures)).all("tr")) == 51
