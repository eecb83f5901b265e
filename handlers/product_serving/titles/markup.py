"""Take HTML out of titles: entities, tags, comments, scripts. What only looks like HTML stays: "a < b", "<3", "R&D".

Shops' exports hold titles as a web page does (``Tops &amp; Tees``, ``<b>Red</b> shirt``), also escaped several times
(``&amp;amp;``, ``&lt;b&gt;``). Each pass takes linear time, and their number is limited.
"""

import html
import html.entities
import re
from collections.abc import Sequence
from typing import NamedTuple

# Titles need one to three passes. Only a hostile title that nests tags in tags needs more.
MAX_PASSES = 10
# Inline elements do not separate words: <b>R</b>ed is one word. All other elements do.
_INLINE = re.compile(
    r"a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|s|samp|small|span|strike"
    r"|strong|sub|sup|time|tt|u|var|wbr"
)
_SEPARATING = re.compile(
    r"address|article|aside|audio|base|blockquote|body|br|button|canvas|caption|center|col|colgroup|dd|details"
    r"|dialog|dir|div|dl|dt|embed|fieldset|figcaption|figure|footer|form|frame|frameset|h1|h2|h3|h4|h5|h6|head"
    r"|header|hr|html|iframe|img|input|legend|li|link|main|map|area|menu|meta|nav|noscript|object|ol|optgroup"
    r"|option|p|param|picture|pre|progress|rp|rt|ruby|script|section|select|source|style|summary|svg|table|tbody"
    r"|td|template|textarea|tfoot|th|thead|title|tr|track|ul|video"
)
_UNREAD = ("script", "style")  # their content is no text
_DROPPED = "\xad\u200b\ufeff"  # soft hyphens and the like, which entities bring into words
_ENTITY = re.compile(
    r"&(?P<again>(?:(?:amp|#0*38|#[xX]0*26);)+)"
    r"|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
    r"|&(?:amp|lt|gt|quot|apos|nbsp)(?![A-Za-z0-9;=])"
    r"|&#(?:34|38|39|60|62|160|8211|8212|8216|8217|8220|8221)(?![0-9;])"
)
_MARKUP = re.compile(
    r"(?P<comment><!--)|(?P<cdata><!\[CDATA\[)|(?P<declaration><![Dd][Oo][Cc][Tt][Yy][Pp][Ee]\b[^<>]*>|<\?[a-z]+\b[^<>]*\?>)"
    r"""|</?(?P<name>[A-Za-z][A-Za-z0-9]*(?::[a-z]+)?)(?P<attributes>[\s/](?:[^<>"']|"[^"<]*"|'[^'<]*')*)?>"""
    # The first attribute of a tag that a limit of characters has cut off, or such an end tag.
    r"""|<(?P<cut>[A-Za-z][A-Za-z0-9]*)\s+[A-Za-z-]+\s*=[^<>]*\Z|</(?P<end>[A-Za-z][A-Za-z0-9]*)\s*\Z"""
)
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}  # str.lower() makes two characters of some


class Edit(NamedTuple):
    """Replace a part of a text.

    Args:
        start: index of its first character.
        stop: index behind its last character.
        replacement: the new characters, often none.
    """

    start: int
    stop: int
    replacement: str


class PlainText(NamedTuple):
    """A text without HTML, with the place of each character in the text as it was.

    Args:
        text: N characters.
        starts: (N,) index of the first character that each one stands for.
        stops: (N,) index behind the last one.
    """

    text: str
    starts: Sequence[int]
    stops: Sequence[int]


def plain_text(text: str) -> str:
    """A text without HTML; the same text again has nothing more to take out."""
    for _ in range(MAX_PASSES):
        before = text
        for find in (_entities, _elements):
            text = _replaced(text, find(text))
        if text == before:
            break
    return text


def plain_text_with_places(text: str) -> PlainText:
    """As :func:`plain_text`, with the places in the text as it was."""
    plain = PlainText(text, range(len(text)), range(1, len(text) + 1))
    for _ in range(MAX_PASSES):
        before = plain.text
        for find in (_entities, _elements):
            plain = _with_places(plain, find(plain.text))
        if plain.text == before:
            break
    return plain


def _replaced(text: str, edits: Sequence[Edit]) -> str:
    pieces, done = [], 0
    for edit in edits:
        pieces += [text[done : edit.start], edit.replacement]
        done = edit.stop
    return "".join(pieces) + text[done:] if edits else text


def _with_places(plain: PlainText, edits: Sequence[Edit]) -> PlainText:
    starts: list[int] = []
    stops: list[int] = []
    done = 0
    for start, stop, replacement in edits:
        starts += [*plain.starts[done:start], *[plain.starts[start]] * len(replacement)]
        stops += [*plain.stops[done:start], *[plain.stops[stop - 1]] * len(replacement)]
        done = stop
    starts += plain.starts[done:]
    stops += plain.stops[done:]
    return PlainText(_replaced(plain.text, edits), starts, stops)


def _entities(text: str) -> list[Edit]:
    if "&" not in text:
        return []
    found = ((match, _decoded(match)) for match in _ENTITY.finditer(text))
    return [Edit(*match.span(), character) for match, character in found if character is not None]


def _decoded(match: re.Match[str]) -> str | None:
    """The character of an entity; None if there is no such entity, so that its text stays."""
    if match["again"]:
        return "&"
    entity = match[0] if match[0].endswith(";") else match[0] + ";"
    if not entity.startswith("&#") and entity[1:] not in html.entities.html5:
        return None
    return html.unescape(entity).strip(_DROPPED)


def _elements(text: str) -> list[Edit]:
    """Tags, comments, declarations, and elements whose content is no text."""
    edits: list[Edit] = []
    if "<" not in text:
        return edits
    scan = _Scan(text)
    found = _MARKUP.search(text)
    while found is not None:
        edit = scan.edit(found)
        if edit is not None:
            edits.append(edit)
        found = _MARKUP.search(text, found.start() + 1 if edit is None else edit.stop)
    return edits


class _Scan:
    """Says how far what begins at a ``<`` goes. An end that is missing once is not looked for again: that keeps the
    time linear.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._lower = text.translate(_LOWER)
        self._missing: set[str] = set()

    def edit(self, found: re.Match[str]) -> Edit | None:
        """What to take out; None if it only looks like HTML."""
        start = found.start()
        if found["comment"]:
            stop = self._end("-->", found.end())
            return None if stop is None else Edit(start, stop, "")
        if found["cdata"]:
            stop = self._end("]]>", found.end())
            return None if stop is None else Edit(start, stop, self._text[found.end() : stop - 3])
        return Edit(*found.span(), "") if found["declaration"] else self._element(found)

    def _element(self, tag: re.Match[str]) -> Edit | None:
        """A tag, or a whole script or style sheet."""
        name = (tag["name"] or tag["cut"] or tag["end"]).lower()
        inline = _INLINE.fullmatch(name) is not None
        if not inline and not _SEPARATING.fullmatch(name) and ":" not in name:
            return None
        # "a<b and c>d" is a comparison.
        if len(name) == 1 and (tag["attributes"] or "").strip(" /") and "=" not in tag["attributes"]:
            return None
        stop = tag.end()
        if name in _UNREAD and not tag[0].startswith("</"):
            stop = self._end(f"</{name}>", stop) or stop
        return Edit(tag.start(), stop, "" if inline else " ")

    def _end(self, mark: str, start: int) -> int | None:
        """The index behind the next ``mark``, in small letters; None if there is none."""
        if mark in self._missing or (found := self._lower.find(mark, start)) < 0:
            self._missing.add(mark)
            return None
        return found + len(mark)
