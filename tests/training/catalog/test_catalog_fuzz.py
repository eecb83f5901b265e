"""Catalogues as nobody wrote them: each one is read, every row used or rejected, or refused with a sentence.

A few of them run in every test run, ``CATALOGUES`` of them with `make test-fuzz`.
"""

import bz2
import csv
import gzip
import io
import json
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from shop_files import picture

from training.catalog.reading import CatalogError, CatalogSource, read_catalog

CATALOGUES, FEW = 20_000, 150
MOST_MEMORY = 64 * 2**20
SECRET = b"secret"
ENCODINGS = (
    "utf-8",
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "cp1252",
    "cp1254",
    "cp1250",
    "cp1251",
    "shift_jis",
)
NAMES = (
    "image",
    "Image",
    "text",
    "label",
    "LABEL",
    "id",
    "ID",
    "title",
    "photo",
    "",
    "Handle",
    "productDisplayName",
    "é",
)
CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "a.jpg", "A.JPG", "sub/b.png", "../secret.jpg", "/etc/hostname", "no.jpg", "a.jpg;b.jpg"]
    ),
    st.sampled_from(
        ['say "hi", all', "two\nlines", "Ünïcode – “x”", "Gömlek ışık", "=1+1", "NA", "a|b\tc;d", "\ufeff", "{", "<p>"]
    ),
    st.sampled_from(
        ["https://127.0.0.1:9/a.jpg", "file:///etc/passwd", "..\\secret.jpg", "link.jpg", "7", "7", "Caps", "Caps"]
    ),
    st.text(max_size=20),
)


def as_json(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(json.dumps(dict(zip(header, row, strict=False))) for row in rows)


def as_xml(header: list[str], rows: list[list[str]]) -> str:
    tags = [name if name.isascii() and name.isalpha() else "x" for name in header]
    items = "".join(
        "<item>" + "".join(f"<{tag}>{cell}</{tag}>" for tag, cell in zip(tags, row, strict=False)) + "</item>"
        for row in rows
    )
    return f"<rss><channel>{items}</channel></rss>"


def as_table(separator: str, quoting: int) -> Callable[[list[str], list[list[str]]], str]:
    def write(header: list[str], rows: list[list[str]]) -> str:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=separator, quoting=quoting, escapechar="\\")  # type: ignore[arg-type]
        # The csv module cannot write a single empty cell without quotes.
        writer.writerows([[" "] if row == [""] else row for row in (header, *rows)])
        return text.getvalue()

    return write


FORMS: dict[str, Callable[[list[str], list[list[str]]], str]] = {
    **{f"separated by {each!r}": as_table(each, csv.QUOTE_MINIMAL) for each in (",", ";", "\t", "|")},
    "quoted": as_table(",", csv.QUOTE_ALL),
    "never quoted": as_table(",", csv.QUOTE_NONE),
    "with sep=": lambda header, rows: "sep=;\n" + as_table(";", csv.QUOTE_MINIMAL)(header, rows),
    "without a header": lambda _, rows: as_table(",", csv.QUOTE_MINIMAL)(["a.jpg", "Cap", "7"], rows),
    "json": as_json,
    "xml": as_xml,
}
PACKED: tuple[Callable[[bytes], bytes], ...] = (bytes, bytes, bytes, bytes, gzip.compress, bz2.compress)


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[str, bytes, dict[str, Any]]:
    """A file's name, its bytes, and the columns that are asked for."""
    is_tidy = draw(st.integers(0, 4)) > 0
    tidy = st.sampled_from([["image", "text", "label"], ["id", "image", "text", "label"], ["Image", "Text", "LABEL"]])
    header = draw(tidy if is_tidy else st.lists(st.sampled_from(NAMES), min_size=1, max_size=5))
    width = st.one_of(st.just(len(header)), st.just(len(header)), st.integers(1, 6))
    rows = draw(st.lists(width.flatmap(lambda size: st.lists(CELLS, min_size=size, max_size=size)), max_size=8))
    if is_tidy:
        rows += [["7", "a.jpg", "Navy Cap, “new”", "Caps"][4 - len(header) :]]
    text = draw(st.sampled_from(sorted(FORMS)))
    content = FORMS[text](header, rows).encode(draw(st.sampled_from(ENCODINGS)), "replace")
    content = draw(st.sampled_from(PACKED))(content)
    if draw(st.integers(0, 9)) == 0:  # damage
        place = draw(st.integers(0, max(0, len(content) - 1)))
        content = content[:place] + draw(st.binary(max_size=4)) + content[place + draw(st.integers(0, 3)) :]
    asked: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "image_column": st.sampled_from(["", "image", "photo"]),
                "text_column": st.sampled_from(["", "title"]),
                "id_column": st.sampled_from(["", "id", "label"]),
                "label_column": st.sampled_from(["label", "text", "label,text", ",", "level1"]),
                "format": st.sampled_from(["shopify", "woocommerce", "magento", "google-merchant", "kaggle-fashion"]),
                "encoding": st.sampled_from(["utf-8", "cp1254", "utf-16", "nonsense", "rot13"]),
                "header": st.sampled_from(["image,text,label", "a", ",", '"']),
            },
        )
    )
    # Most catalogues are asked for as they are.
    asked = asked if draw(st.integers(0, 4)) == 0 else {}
    return draw(st.sampled_from(["products.csv", "products.tsv", "feed.xml", "shop", "shop.jsonl"])), content, asked


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures; another one, beside it, that nothing may read."""
    folder = tmp_path_factory.mktemp("fuzz") / "shop"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(picture())
    (folder / "sub" / "b.png").write_bytes(picture("red", "PNG"))
    (folder.parent / "secret.jpg").write_bytes(picture("green"))
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    return folder


def check(shop: Path, name: str, content: bytes, asked: dict[str, Any]) -> None:
    """Read one catalogue: every row is used or rejected with a reason, or the file is refused with a sentence."""
    with tempfile.NamedTemporaryFile(dir=shop, suffix=f"-{name}") as file:
        file.write(content)
        file.flush()
        tracemalloc.start()
        try:
            catalog = read_catalog(CatalogSource(path=file.name, **asked), max_rejected=1, progress=False)
        except CatalogError as error:
            event("refused")
            message = str(error)
            assert len(message) > 20 and "Traceback" not in message
            return
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < MOST_MEMORY
    event("read")
    assert catalog.read == len(catalog.products) + len(catalog.rejected)
    assert catalog.products["id"].is_unique and catalog.products["label"].str.len().min() > 0
    assert (catalog.products["image"] + catalog.products["text"]).str.len().min() > 0
    assert catalog.rejected["reason"].str.len().min() > 0 if len(catalog.rejected) else True
    for image in catalog.products["image"]:
        assert not image or catalog.image_bytes(image) != (shop.parent / "secret.jpg").read_bytes()


UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=FEW, **UNHURRIED)
@given(catalogues())
def test_any_catalogue_is_read_or_refused(shop: Path, made: tuple[str, bytes, dict[str, Any]]) -> None:
    check(shop, *made)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(max_examples=CATALOGUES, **UNHURRIED)
@given(catalogues())
def test_twenty_thousand_catalogues_are_read_or_refused(shop: Path, made: tuple[str, bytes, dict[str, Any]]) -> None:
    check(shop, *made)
