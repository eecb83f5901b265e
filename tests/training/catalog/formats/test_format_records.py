"""JSON and XML: values by name, any order, any kind; hostile XML reads nothing and fills nothing."""

import json
from pathlib import Path

import pytest
from shop_files import cells, read, write

from training.catalog.reading import CatalogError

PRODUCT = {"image": "a.jpg", "text": "Cap", "label": "Caps"}
FEED = """<?xml version="1.0" encoding="{encoding}"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel><title>shop</title>
{items}
</channel></rss>"""


def feed(*items: str, encoding: str = "utf-8") -> bytes:
    return FEED.format(items="\n".join(items), encoding=encoding).encode(encoding)


def test_values_of_every_kind_are_texts(tmp_path: Path) -> None:
    rows = [PRODUCT | {"id": 7, "size": 4.5}, {"label": "Hats", "text": None, "image": "a.jpg", "id": True}]
    catalog = read(write(tmp_path, "shop.jsonl", "\n".join(map(json.dumps, rows))), max_rejected=0)
    assert cells(catalog) == [["a.jpg", "Cap", "Caps"], ["a.jpg", "", "Hats"]]
    assert catalog.products["id"].tolist() == ["7", "true"]


def test_a_column_may_appear_late(tmp_path: Path) -> None:
    rows = [{"text": "Cap", "label": "Caps"}] * 50 + [PRODUCT]
    assert (
        read(write(tmp_path, "shop.jsonl", "\n".join(map(json.dumps, rows)))).products["image"].tolist()[-1] == "a.jpg"
    )


@pytest.mark.parametrize(
    "line",
    [
        '{"image": ',
        "[1, 2]",
        "7",
        '{"text": "\\ud800"}',
        '{"text": "a\\u0000b"}',
        "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_a_line_that_is_no_object_is_rejected_alone(tmp_path: Path, line: str) -> None:
    good = json.dumps(PRODUCT)
    catalog = read(write(tmp_path, "shop.jsonl", f"{good}\n{line}\n\n{good}\n"))
    assert (catalog.read, len(catalog.products)) == (3, 2)
    assert catalog.rejected[["line", "reason"]].to_numpy().tolist() == [[2, "row_malformed"]]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_long_list_is_read_object_by_object(tmp_path: Path, indent: int | None) -> None:
    rows = [PRODUCT | {"text": f"Größe {number}" * 20} for number in range(3000)]
    catalog = read(write(tmp_path, "shop.json", json.dumps(rows, indent=indent, ensure_ascii=False)), max_rejected=0)
    assert catalog.products["text"].tolist() == [row["text"] for row in rows]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"products": []}', "no column 'image'; its columns are 'products'"),
        ('{\n "products": [{}]\n}', "one JSON object over several lines"),
        ('[{"image": "a.jpg"}, {"image"', "line 1: is no JSON object"),
        ("[]", "no row that can be read"),
        ("[[1], [2]]", "no row that can be read: is JSON, but no object"),
        ('{"a": 1', "no row that can be read: is no JSON"),
    ],
)
def test_json_of_another_form_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        read(write(tmp_path, "shop.json", content))
    assert message in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "windows-1254"])
def test_a_feed_is_read_in_the_encoding_that_it_names(tmp_path: Path, encoding: str) -> None:
    item = "<item><g:id>7</g:id><title>Größe &amp; Länge</title><g:image_link>a.jpg</g:image_link></item>"
    path = write(tmp_path, "feed.xml", feed(item, item.replace("7", "8"), encoding=encoding))
    catalog = read(path, image_column="image_link", text_column="title", label_column="id")
    assert cells(catalog) == [["a.jpg", "Größe & Länge", "7"], ["a.jpg", "Größe & Länge", "8"]]
    assert catalog.products["id"].tolist() == ["7", "8"]


@pytest.mark.parametrize("record", ["item", "entry", "product", "Offer", "row"])
def test_an_element_for_each_product_is_found(tmp_path: Path, record: str) -> None:
    items = (
        f'<{record} id="x"><image>a.jpg</image><text><![CDATA[Cap & <b>more</b>]]></text><label>Caps</label></{record}>'
    )
    catalog = read(write(tmp_path, "shop.xml", f"<shop><name>S</name><all>{items}</all></shop>"), max_rejected=0)
    assert cells(catalog) == [["a.jpg", "Cap & more", "Caps"]] and catalog.products["id"].tolist() == ["x"]


@pytest.mark.parametrize("form", ["xml", "json"])
def test_products_on_one_line_have_ids_of_their_own(tmp_path: Path, form: str) -> None:
    items = "<item><image>a.jpg</image><text>Cap</text><label>Caps</label></item>" * 3
    content = f"<rss>{items}</rss>" if form == "xml" else json.dumps([PRODUCT] * 3)
    assert read(write(tmp_path, f"shop.{form}", content)).products["id"].tolist() == ["1", "2", "3"]


def test_of_repeated_elements_the_first_counts_and_nested_ones_have_long_names(tmp_path: Path) -> None:
    item = (
        "<item><image>a.jpg</image><image>b.jpg</image><text>Cap</text><label>Caps</label>"
        "<shipping><text>DHL</text></shipping></item>"
    )
    catalog = read(write(tmp_path, "shop.xml", feed(item)))
    assert cells(catalog) == [["a.jpg", "Cap", "Caps"]]
    assert catalog.notes == ["1 products have <image> several times: the first one counts"]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f'<!DOCTYPE r [<!ENTITY l0 "ha">{LAUGHS}]><rss><item><text>&l9;</text></item></rss>',
            "declares the entity 'l0'",
        ),
        (
            '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/hostname">]><rss><item><text>&f;</text></item></rss>',
            "the entity",
        ),
        ('<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd">%p;]><rss><item/></rss>', "the entity"),
        ("<rss><item><text>&unknown;</text></item></rss>", "line 1: is no well-formed XML"),
        ("<rss><item><text>a & b</text></item></rss>", "& is written &amp;"),
        ("<rss><item><text>Cap</text>", "is no well-formed XML"),
        ("<shop><thing/></shop>", "XML with the root <shop>, without an element for each product"),
        ('<?xml version="1.0" encoding="klingon"?><rss><item/></rss>', "klingon"),
        ("<rss>" + "<item><text>x</text></item>" * 3 + "</rss", "is no well-formed XML"),
    ],
)
def test_hostile_and_broken_xml_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        read(write(tmp_path, "feed.xml", content), image_column="", label_column="text")
    assert message in str(caught.value)


def test_a_product_of_any_length_fills_no_memory(tmp_path: Path) -> None:
    content = "<rss><item><text>" + "words " * 3_000_000 + "</text></item></rss>"
    with pytest.raises(CatalogError, match="line 1: a product is longer than 16 MiB"):
        read(write(tmp_path, "feed.xml", content), image_column="")


def test_columns_that_name_themselves_take_no_header(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="names its columns itself: leave out --header"):
        read(write(tmp_path, "shop.jsonl", json.dumps(PRODUCT)), header="image,text,label")
