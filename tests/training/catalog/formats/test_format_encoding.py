"""An encoding is found where the letters leave no doubt, and said; else the message shows what it could be."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop_files import cells, read, write

from training.catalog.formats.alphabets import certain_encoding
from training.catalog.reading import CatalogError

CERTAIN = [
    ("cp1252", ["Größe", "Müller"]),
    ("cp1252", ["café"]),
    ("cp1252", ["Crème brûlée", "très à père"]),
    ("cp1252", ["Señor", "Niño", "mañana"]),
    ("cp1252", ["João", "ações", "coração"]),
    ("cp1252", ["perché", "città", "più", "però"]),
    ("cp1252", ["Ærø", "Århus", "blå"]),
    ("cp1252", ["Þórshöfn", "æði", "blár"]),
    ("cp1252", ["Größe", "Señor", "Ærø", "L’Oréal – Paris", "Levi’s®", "50 €"]),
    ("cp1254", ["Gömlek", "Şapka", "Kırmızı", "çanta"]),
    ("cp1254", ["İpek", "ayakkabı"]),
    ("cp1254", ["ÇOCUK", "GÖMLEĞİ", "Nescafé", "ışık"]),
    ("cp1250", ["Żółty", "łąka", "ślązak"]),
    ("cp1250", ["Dětský", "červený", "žluť", "bílý"]),
    ("cp1250", ["bőr", "fűző", "cipő"]),
]
DOUBTFUL = [
    ("cp1251", ["Шапка", "красная"]),
    ("cp1253", ["Καπέλο", "μπλε"]),
    ("cp1255", ["כובע"]),
    ("cp1257", ["Kepurė", "žalias", "šalikas"]),
    ("koi8-r", ["Шапка"]),
    ("shift_jis", ["帽子"]),
    ("shift_jis", ["シャツ", "青いシャツ"]),
    ("gb18030", ["帽子", "衬衫"]),
    ("euc_kr", ["셔츠"]),
    ("big5", ["帽子"]),
    ("mac-roman", ["Größe", "café"]),
    ("cp437", ["Größe"]),
]


def table(words: list[str]) -> str:
    return "image,text,label\n" + "\n".join(f"a.jpg,{word},{word}" for word in words) + "\n"


@pytest.mark.parametrize(("encoding", "words"), CERTAIN)
def test_a_certain_encoding_is_read_and_said_once(tmp_path: Path, encoding: str, words: list[str]) -> None:
    catalog = read(write(tmp_path, "shop.csv", table(words).encode(encoding)), max_rejected=0)
    assert [text for _, text, _ in cells(catalog)] == words
    assert [note for note in catalog.notes if "--encoding" in note] == [
        f"shop.csv is read as {encoding}; --encoding names another encoding"
    ]


@pytest.mark.parametrize(("encoding", "words"), DOUBTFUL)
def test_a_doubtful_one_is_an_error_until_it_is_named(tmp_path: Path, encoding: str, words: list[str]) -> None:
    path = write(tmp_path, "shop.csv", table(words).encode(encoding))
    with pytest.raises(CatalogError, match=r"shop\.csv, line 2: byte 0x.. is no UTF-8; save it as UTF-8") as caught:
        read(path)
    assert "--encoding" in str(caught.value)
    catalog = read(path, encoding=encoding, max_rejected=0)
    assert [text for _, text, _ in cells(catalog)] == words and not catalog.notes


def test_utf8_with_one_broken_letter_is_no_other_encoding(tmp_path: Path) -> None:
    broken = table(["Größe", "Müller", "é"]).encode() + b"a.jpg,M\xfcller,x\n"
    with pytest.raises(CatalogError, match="line 5: byte 0xfc is no UTF-8"):
        read(write(tmp_path, "shop.csv", broken))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("rows", [3, 70_000])
def test_the_line_of_a_strange_byte_is_right_however_far(tmp_path: Path, line_end: str, rows: int) -> None:
    content = line_end.join(["image,text,label", *["a.jpg,Größe und Länge,Caps"] * rows, "", ""]).encode()
    path = write(tmp_path, "shop.csv", content + b"a.jpg,\xff\xfe\xff,Caps")
    with pytest.raises(CatalogError, match=f"line {rows + 3}: byte 0xff is no UTF-8"):
        read(path)


@pytest.mark.parametrize("name", ["nonsense", "rot13", "base64", "", "zip", "idna\0"])
def test_what_is_no_encoding_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "shop.csv", table(["Cap"]))
    if not name:
        assert read(path, encoding=name).read == 1
        return
    with pytest.raises(CatalogError, match="is no encoding that is known here; usual ones: utf-8"):
        read(path, encoding=name)


def test_the_wrong_encoding_is_an_error_that_says_where(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.csv", table(["Cap", "帽子"]).encode("gb18030"))
    with pytest.raises(CatalogError, match=r"line 3: byte .* is no ascii; another --encoding is needed"):
        read(path, encoding="ascii")


def test_half_of_a_character_is_never_read(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.csv", b"image,text,label\na.jpg,+2AA-,Caps\n")
    with pytest.raises(CatalogError, match="line 2: holds half of a character"):
        read(path, encoding="utf-7")


LETTERS = st.text("aeiouäöüßéèçñøåæšžłąęčřěőűışğİ“”–’ ³½", min_size=1, max_size=12)


@given(st.lists(LETTERS, min_size=1, max_size=8), st.sampled_from(["cp1252", "cp1254", "cp1250"]))
def test_what_is_certain_is_the_same_in_no_other_way(words: list[str], encoding: str) -> None:
    written = [word.encode(encoding, "ignore") for word in words]
    found = {byte for word in written for byte in word if byte >= 0x80}
    guessed = certain_encoding(found, [word for word in written if max(word, default=0) >= 0x80])
    assert guessed is None or b"".join(written).decode(guessed)
