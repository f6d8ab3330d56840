"""Detects the charset of text that is not UTF-8, or reports that no guess is certain enough.

`charset_normalizer` judges languages; what it cannot know of a few letters among thousands of rows is decided by what
files are: one charset for the whole file, Windows-1252 the most frequent of them, no symbols in the middle of words.
A wrong guess changes names in silence, so that doubt is an answer too: then the rows with such bytes are refused.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from bulkport.imports.charsets import charset_label

SAMPLE_BYTES: Final = 8 * 1024
"""Bytes of the lines that are looked at, of those that have any byte above 127."""

_MULTIBYTE: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_RUNS: Final = re.compile(rb"[\x80-\xff]{2,}")
# Hiragana and katakana in Shift JIS; in Windows-1252 the first bytes are a low quote and a florin sign.
_KANA: Final = re.compile(rb"\x82[\x9f-\xf1]|\x83[\x40-\x96]")
# First bytes of the frequent kanji.
_KANJI_LEADS: Final = re.compile(rb"[\x88-\x98]")
_BESIDE_LATIN: Final = re.compile("[A-Za-z][\u2e80-\uffff]|[\u2e80-\uffff][A-Za-z]")
# Words of Turkish in Windows-1252: no word of Iceland begins so, or has a thorn inside.
_TURKISH: Final = re.compile("\\b\u00dd[b-df-hj-np-tv-z]{2}|[a-z]\u00fe")
_KANJI_GROUP: Final = re.compile("[\u4e00-\u9fff]{2,}")
_WESTERN: Final = "cp1252"
_LATIN: Final = ("cp1252", "cp1250", "iso8859_2", "cp1254", "cp1257", "mac_roman", "cp850", "cp852")
# Hebrew first: its letters are small Cyrillic ones, but a text of these alone without ы, ь, э, ю and я is rare.
_OTHER_SCRIPTS: Final = {
    "cp1255": "HEBREW",
    "cp1251": "CYRILLIC",
    "koi8_r": "CYRILLIC",
    "cp866": "CYRILLIC",
    "mac_cyrillic": "CYRILLIC",
    "cp1253": "GREEK",
    "cp1256": "ARABIC",
    "cp874": "THAI",
}
# Letters of Iceland in Windows-1252, and of Turkey in Windows-1254.
_ICELANDIC_OR_TURKISH: Final = frozenset("þðýÞÐÝ")
_TURKISH_TOO: Final = frozenset("çüÇÜ")
# What may stand inside a word beside letters, and the letters that are words.
_JOINERS: Final = frozenset("'\u2018\u2019\u2011\u00b7\u00ad\u00b4`")
# Signs before or after digits, and those of them that follow no letter.
_SIGNS_OF_NUMBERS: Final = frozenset("£¢¥ªº¼½¾")
_FRACTIONS: Final = frozenset("ªº¼½¾")
_ONE_LETTER_WORDS: Final = frozenset("àáâèéêìíòóôùúöåÀÁÈÉÍÓÖÅ")
_FREQUENT: Final = frozenset("äöüßÄÖÜàâçéèêëîïôûùÀÂÇÉÈÊáíóúñÑìòåÅæÆøØ")
# Obsolete letters and signs of Thai; points of Hebrew, which files are written without.
_RARE_IN_SCRIPT: Final = re.compile("[\u0e03\u0e05\u0e4f\u0e5a\u0e5b\u05b0-\u05c4]")
_MIXED_WORD: Final = re.compile("[A-Za-z][\u0370-\u0eff]|[\u0370-\u0eff][A-Za-z]")
# Final forms of Hebrew letters inside words, and the forms for inside at their ends.
_NO_HEBREW: Final = re.compile(
    "[\u05da\u05dd\u05df\u05e3\u05e5][\u05b0-\u05ea]|[\u05db\u05de\u05e0\u05e6](?![\u05b0-\u05ea'\"])"
)
_RARE: Final = frozenset("ÿŸ\u00d7÷¤¦¨¬¯\u00b8")
# Lead bytes of the characters that nearly all text is made of, in charsets of two bytes a character.
_COMMON_LEADS: Final = {
    "cp932": (range(0x81, 0x84), range(0x88, 0x99), range(0xE0, 0xE5)),
    "euc_jp": (range(0xA1, 0xA6), range(0xB0, 0xD0)),
    "cp949": (range(0xB0, 0xC9),),
    "gb18030": (range(0xA1, 0xA4), range(0xB0, 0xF8)),
    "big5": (range(0xA1, 0xA4), range(0xA4, 0xC7)),
}


def detect_charset(text: bytes) -> str | None:
    """The charset of text that is not UTF-8 as a whole; None if it may be UTF-8 with a few bytes of another one.

    Parameters
    ----------
    text:
        The beginning of a body; up to 64 KiB of it are looked at.

    Returns
    -------
    A name such as `windows-1252`.
    """
    well_formed = len(_MULTIBYTE.findall(text))
    stray = len(_HIGH.findall(_MULTIBYTE.sub(b"", text)))
    if well_formed >= stray:
        return None
    sample = b"\n".join(_lines(text))
    found = None
    high = len(_HIGH.findall(sample))
    if _is_mostly_runs(sample):
        found = _detect_two_bytes(sample) or _detect_script(sample)
    elif len(_KANA.findall(sample)) > 0.3 * high or len(_KANJI_LEADS.findall(sample)) > 0.4 * high:
        found = _detect_two_bytes(sample)  # half of their second bytes are ASCII
    found = found or _detect_latin(sample)
    return None if found is None else charset_label(found)


def _lines(text: bytes) -> Iterator[bytes]:
    """Lines with bytes above 127, cut, up to `SAMPLE_BYTES`."""
    size = 0
    for line in re.split(rb"[\r\n]+", text):
        if size < SAMPLE_BYTES and not line.isascii():
            yield line[:1024]
            size += min(len(line), 1024)


def _is_mostly_runs(sample: bytes) -> bool:
    high = len(_HIGH.findall(sample))
    return sum(map(len, _RUNS.findall(sample))) > 0.6 * high


def _decoded(sample: bytes, codec: str) -> str | None:
    try:
        return sample.decode(codec)
    except UnicodeDecodeError:
        return None


def _detect_two_bytes(sample: bytes) -> str | None:
    """East Asian charsets, by which characters are frequent."""
    best, best_share = None, 0.85
    if _detect_script(sample, sure=True):
        return None
    for codec, common in _COMMON_LEADS.items():
        text = _decoded(sample, codec)
        if text is None:
            continue
        wide = [character for character in text if ord(character) > 0x2E80]
        if len(wide) < 2 or any(0xE000 <= ord(character) <= 0xF8FF for character in wide):
            continue
        if len(_BESIDE_LATIN.findall(text)) > 0.5 * len(wide):  # letters of one alphabet in the words of the other
            continue
        kana = sum(0x3040 <= ord(character) <= 0x30FF for character in wide)
        if codec in ("cp932", "euc_jp") and not kana and not (codec == "cp932" and _is_kanji(text)):
            continue
        leads = [character.encode(codec)[0] for character in wide]
        share = sum(any(lead in part for part in common) for lead in leads) / len(leads)
        others = sum(0x80 <= ord(character) <= 0x2E80 for character in text)
        if codec in ("cp932", "euc_jp") and kana / len(wide) > 0.2:
            share += 0.2
        share -= others / (len(wide) + others)
        if share > best_share:
            best, best_share = codec, share
    return best


def _is_kanji(text: str) -> bool:
    """Whether a text of Shift JIS without kana is one: it has groups of frequent kanji."""
    kanji = _KANJI_GROUP.findall(text)
    wide = [character for character in text if ord(character) > 0x7F]
    leads = [character.encode("cp932")[0] for character in wide]
    is_sure = len(wide) > 3 or any(character.encode("cp932")[1:2] > b"\x7f" for character in wide)
    return is_sure and sum(map(len, kanji)) == len(wide) and all(0x88 <= lead <= 0x98 for lead in leads)


def _detect_script(sample: bytes, *, sure: bool = False) -> str | None:
    """Charsets of one byte whose letters are of another script than Latin."""
    best, best_share = None, 0.9 if not sure else 0.97
    for codec, script in _OTHER_SCRIPTS.items():
        text = _decoded(sample, codec)
        if text is None:
            continue
        foreign = [character for character in text if ord(character) > 0x7F]
        own = sum(unicodedata.name(character, "").startswith(script) for character in foreign)
        own -= len(_RARE_IN_SCRIPT.findall(text))
        odd = _implausible(text) + len(_MIXED_WORD.findall(text)) + len(_NO_HEBREW.findall(text))
        share = (own - 2 * odd) / len(foreign)
        if len(foreign) >= 4 and share > best_share:
            best, best_share = codec, share
    return best


def _detect_latin(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes  # noqa: PLC0415 # a twentieth of a second that few imports need

    western = _decoded(sample, _WESTERN)
    if western is not None and "¤" in western and not _implausible(western):
        return "iso8859-15"  # where the euro sign is
    if western is not None and (_implausible(western) or not _RARE.isdisjoint(western)):
        western = None
    if western is not None and not _ICELANDIC_OR_TURKISH.isdisjoint(western):
        is_turkish = not _TURKISH_TOO.isdisjoint(western) or _TURKISH.search(western)
        return "cp1254" if is_turkish else _WESTERN
    coherence = 0.0
    letters = len(_HIGH.findall(sample))
    for match in from_bytes(sample, cp_isolation=list(_LATIN), enable_fallback=False):
        text = _decoded(sample, match.encoding)
        if text == western:
            return _WESTERN
        if western is not None and match.encoding == _WESTERN:
            coherence = match.coherence
        if text is None or _implausible(text):
            continue
        if match.coherence >= max(0.2, coherence + 0.05) or (western is None and letters >= 6 and match.chaos < 0.1):
            return match.encoding
    return _detect_old(sample) if western is None else _WESTERN


def _detect_old(sample: bytes) -> str | None:
    """Charsets of DOS and of old Macs: the one of them in which all letters are frequent ones in their places."""
    found: list[str] = []
    if not re.search(b"[\x80-\x9f]", sample):  # where both have most of their letters
        return None
    for codec in ("cp850", "mac_roman"):
        text = _decoded(sample, codec)
        if text is not None and not _implausible(text) and _FREQUENT.issuperset(re.sub("[\0-\x7f]", "", text)):
            found.append(codec)
    return found[0] if len(found) == 1 else None


def _implausible(text: str) -> int:
    """Characters above ASCII where no text has them: symbols inside words, capitals after small letters, controls."""
    found = 0
    for position, character in enumerate(text):
        if character < "\x80":
            continue
        before = text[position - 1] if position else " "
        after = text[position + 1] if position + 1 < len(text) else " "
        if character in _SIGNS_OF_NUMBERS:
            found += after.isalpha() or (before.isalpha() and character in _FRACTIONS)
        elif character.isalpha():
            if character.isupper():
                found += before.islower() or (before.isupper() and after.islower())
            elif character.islower() and before.isalpha() and before.isupper() and after.isupper():
                found += 1
            elif not before.isalpha() and not after.isalpha():
                found += character.isascii() or (character < "\u017f" and character not in _ONE_LETTER_WORDS)
        elif unicodedata.category(character) in ("Cc", "Cn", "Co"):
            found += 1
        else:
            is_inside = before.isalpha() and after.isalpha()
            is_mark = unicodedata.category(character).startswith("M")
            found += is_inside and character not in _JOINERS and not is_mark
    return found
