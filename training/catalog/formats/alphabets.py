"""Which 8-bit encoding a text has, if its letters leave no doubt.

Nearly every byte is a letter or a sign in each of these encodings. So a text is wrong only as a language.
An encoding is possible if one language that is written in it has all the letters that the text would then have.
"""

from collections.abc import Collection, Iterable, Mapping

WESTERN, TURKISH, CENTRAL = ENCODINGS = ("cp1252", "cp1254", "cp1250")
# Loan words bring é, and names ö and ü, into most languages.
_WESTERN = (
    "äöüßéèàáçñëóôâê",  # German
    "àâçéèêëîïôùûüÿœæöä",  # French
    "áéíóúüñçèà",  # Spanish
    "áâãàçéêíóôõúüñ",  # Portuguese
    "àèéìíòóùúîôêâ",  # Italian
    "áéëïíóöüèêàâçôî",  # Dutch
    "æøåéèêëóòôàáüöäçñ",  # Danish, Norwegian
    "åäöéàáüèçñøæšž",  # Swedish, Finnish
    "àèéíïòóúüçñ",  # Catalan
)
# Letters, and those of them without which it is hardly that language: two of these, or all if there are fewer.
_NEEDED: Mapping[str, tuple[tuple[str, str], ...]] = {
    WESTERN: (*((letters, "") for letters in _WESTERN), ("áéíóúýðþæö", "áéíóúæ")),  # the last one is Icelandic
    TURKISH: (("çğıöşüâîûéè", ""),),
    CENTRAL: (
        ("ąćęłńóśźżéüöäá", "łąęśż"),  # Polish
        ("áčďéěíňóřšťúůýžöüä", "ěřžšů"),  # Czech
        ("áäčďéíľňóôšťúýžöü", "čľšžť"),  # Slovak
        ("áéíóöőúüűä", "őű"),  # Hungarian
        ("ăâîşţéáöü", "ăşţ"),  # Romanian
        ("čćđšžéöüä", "čćžšđ"),  # Croatian, Slovene
    ),
}
_SIGNS = frozenset("ªºµˆ")
_NEVER_INSIDE = frozenset("¹³¿¼¾£¥¯ªº¸¨¢¤¦§ˇ˘˛˝˙‚„“”†‡‰ˆ")
_NEVER_BESIDE = frozenset("±×÷¬")
_LETTER_BYTES, _RARE_BYTES = range(0xC0, 0x100), range(0x80, 0xA0)
_LONGEST_RUN = 3


def certain_encoding(found: Collection[int], words: Iterable[bytes]) -> str | None:
    """The encoding of a text; None if there is a doubt.

    Args:
        found: the bytes from 0x80 on that the text has.
        words: runs of letters and of bytes from 0x80 on, with at least one of these.
    """
    words = list(words)
    if any(map(_is_of_another_alphabet, words)):
        return None
    texts = {each: text for each in ENCODINGS if (text := _decoded(each, found))}
    possible = {each: text for each, text in texts.items() if _is_possible(each, text, texts, words)}
    if not possible and WESTERN in texts and _is_mixture(texts[WESTERN], words):
        return WESTERN
    return next(iter(possible)) if len(set(possible.values())) == 1 else None


def _decoded(encoding: str, found: Collection[int]) -> str:
    """The characters of some bytes; "" if one of them is none in the encoding."""
    try:
        return bytes(sorted(found)).decode(encoding)
    except UnicodeDecodeError:
        return ""


def _letters(text: str) -> set[str]:
    return {each for each in text.lower() if each.isalpha() and not each.isascii() and each not in _SIGNS}


def _is_possible(encoding: str, text: str, texts: Mapping[str, str], words: Iterable[bytes]) -> bool:
    letters = _letters(text)
    own = letters - _letters(texts.get(WESTERN, ""))
    # Without letters of its own the text is the Western one; a single one of them is chance.
    if (encoding == TURKISH and not own) or (encoding == CENTRAL and len(own) < 2) or _is_odd(encoding, words):
        return False
    return any(
        letters <= set(alphabet) and (not letters or len(letters & set(needed)) >= min(2, len(needed)))
        for alphabet, needed in _NEEDED[encoding]
    )


def _is_mixture(text: str, words: Iterable[bytes]) -> bool:
    """True for a text in several Western languages, as brands bring them; Icelandic is none of them."""
    return _letters(text) <= set("".join(_WESTERN)) and not _is_odd(WESTERN, words)


def _is_odd(encoding: str, words: Iterable[bytes]) -> bool:
    """True if a word has a sign or a capital letter where no language writes one."""
    for word in words:
        text = f" {word.decode(encoding, 'replace')} "
        for byte, before, here, after in zip(word, text, text[1:], text[2:], strict=False):
            beside = [each for each in (before, after) if each.isalpha()]
            if here in _NEVER_INSIDE and len(beside) == 2:
                return True
            if here in _NEVER_BESIDE and not all(each.isascii() for each in beside):
                return True
            if byte in _RARE_BYTES and here.isupper() and before.isalpha() and (before.islower() or after.islower()):
                return True
    return False


def _is_of_another_alphabet(word: bytes) -> bool:
    """True for a word of Greek, Cyrillic, Hebrew, Arabic or Asian letters: for each there are several encodings."""
    longest = run = plain = 0
    for byte in word:
        run = run + 1 if byte in _LETTER_BYTES else 0
        longest, plain = max(longest, run), plain + (byte < 0x80)
    return longest > _LONGEST_RUN or (longest > 1 and not plain)
