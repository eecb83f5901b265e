"""HTML in titles is taken out, what only looks like it stays, and each word is found in the caller's text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.titles.markup import plain_text, plain_text_with_places


@pytest.mark.parametrize(
    ("sent", "tidy"),
    [
        ("Tops &amp; Tees", "Tops & Tees"),
        ("Men&#39;s &#x27;Shirt&#X27;", "Men's 'Shirt'"),
        ("Red&nbsp;Shirt", "Red Shirt"),
        ("Red&amp;nbsp;Shirt &amp;amp;amp; Tie", "Red Shirt & Tie"),
        ("caf&eacute; &quot;noir&quot; &euro;5", 'café "noir" €5'),
        ("Tops &amp Tees", "Tops & Tees"),
        ("Men&#39s Shirt", "Men's Shirt"),
        ("Soft&shy;shell &#8203;Jacket", "Softshell Jacket"),
        ("<b>Red</b> shirt", "Red shirt"),
        ("<b>R</b>ed <B>Shirt</B>", "Red Shirt"),
        ("<p>Red shirt</p>", "Red shirt"),
        ("Red<br/>Shirt<BR>Blue<br />Tie", "Red Shirt Blue Tie"),
        ("<ul><li>Red</li><li>Shirt</li></ul>", "Red Shirt"),
        ('<a href="x.html?a>b&c=1" target=_blank>Red</a> shirt', "Red shirt"),
        ("&lt;b&gt;Red&lt;/b&gt; shirt", "Red shirt"),
        ("&amp;lt;p&amp;gt;Red&amp;lt;/p&amp;gt;", "Red"),
        ("Red<!-- 3 < 4 > 2 --> shirt", "Red shirt"),
        ("Red<script>if (a < b) { alert('<b>') }</script> shirt", "Red shirt"),
        ("<STYLE type='x'>p > b { color: red }</STYLE>Red", "Red"),
        ("<!DOCTYPE html><html><body>Red</body></html>", "Red"),
        ("<![CDATA[Red shirt]]>", "Red shirt"),
        ("<?xml version='1.0'?>Red", "Red"),
        ("<o:p>Red</o:p> shirt", "Red shirt"),
        ('Red shirt <a href="http://shop', "Red shirt"),
        ("Red shirt</b", "Red shirt"),
        ("<<b>b>Red", "Red"),
        ("\uff1cb\uff1eRed", "Red"),
        ("<br>", ""),
        # No HTML, so it stays.
        ("a < b", "a < b"),
        ("a<b and c>d", "a<b and c>d"),
        ("I <3 shoes", "I <3 shoes"),
        ("size <10", "size <10"),
        ("size &lt;10 &amp; &gt;5", "size <10 & >5"),
        ("Shirt <XL>", "Shirt <XL>"),
        ("Lamp <UV-A> 5 > 3", "Lamp <UV-A> 5 > 3"),
        ("AT&T; R&D H&M", "AT&T; R&D H&M"),
        ("this&nothing &copycat", "this&nothing &copycat"),
        ("a &unknown; b", "a &unknown; b"),
        ("Red <!-- never closed", "Red <!-- never closed"),
        ("Red <", "Red <"),
        ("Red <b", "Red <b"),
        ("Pack&Go x&y;z", "Pack&Go x&y;z"),
    ],
)
def test_html_is_taken_out(preprocessor: ProductPreprocessor, sent: str, tidy: str) -> None:
    assert preprocessor.title(sent) == tidy
    assert preprocessor.tokens(sent).tolist() == preprocessor.tokens(tidy).tolist()


@given(st.text(st.sampled_from("<>&;#/!-ab39 p\"'="), max_size=60))
def test_taking_out_html_twice_changes_nothing(text: str) -> None:
    once = plain_text(text)
    assert plain_text(once) == once == plain_text_with_places(text).text


@given(st.text(st.sampled_from("<>&;/amplt;bR d\u00a0\ufb01"), max_size=60))
def test_each_word_is_found_in_the_text(preprocessor: ProductPreprocessor, text: str) -> None:
    for word in preprocessor.words(text):
        assert 0 <= word.begins < word.ends <= len(text)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("Men&#39;s <b>R</b>ed  Shirt", ["Men&#39;s", "R</b>ed", "Shirt"]),
        ("&lt;p&gt;Tops &amp;amp; Tees", ["Tops", "&amp;amp;", "Tees"]),
        ("\tRed \ufb01ne cafe\u0301\n", ["Red", "\ufb01ne", "cafe\u0301"]),
        ("plain words", ["plain", "words"]),
    ],
)
def test_words_point_into_the_callers_text(preprocessor: ProductPreprocessor, sent: str, found: list[str]) -> None:
    assert [sent[word.begins : word.ends] for word in preprocessor.words(sent)] == found


@pytest.mark.parametrize(
    "part",
    [
        "<",
        "<!--",
        "<b",
        "<b ",
        "<a '",
        '<a "',
        "<script>",
        "&amp;",
        "amp;",
        "&#38;",
        "<b>",
        "</",
        "<![CDATA[",
        "&",
        ">",
    ],
)
def test_hostile_text_takes_linear_time(preprocessor: ProductPreprocessor, part: str) -> None:
    text = (part * 10_000)[:10_000]
    started = time.process_time()
    preprocessor.title(text)
    preprocessor.title("<" * 2_000 + (part * 8_000)[:6_000] + ">" * 2_000)
    assert time.process_time() - started < 0.5
