"""Names of character encodings: accepted spellings, their codec, and the name in responses."""

import codecs
import re
from typing import Final

UTF_8: Final = "utf-8"

# These codecs do not decode text, or decode program text rather than files.
_NO_CHARSETS: Final = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem", "utf-7", "palmos"}
)
# What files that say ISO-8859-1 are in truth (WHATWG Encoding Standard, 4.2): its bytes 0x80 to 0x9F are not text.
_SAME_AS: Final = {"iso8859-1": "cp1252", "ascii": UTF_8, "utf-8-sig": UTF_8, "shift_jis": "cp932", "gb2312": "gbk"}
_WINDOWS: Final = re.compile(r"cp(125[0-8])")
_ISO: Final = re.compile(r"iso8859-(\d+)")


def find_charset(name: str) -> str | None:
    """The charset that a name means, under the name it has in answers (`windows-1252`); None if there is none.

    Every text encoding of Python is one, by any of its names. Names of the same family are read as the larger one:
    `latin-1` as `windows-1252`, `us-ascii` as `utf-8`, `shift_jis` as `cp932`, `gb2312` as `gbk`.
    """
    text = name.strip().lower()
    if not text or len(text) > 40 or not text.isascii():
        return None
    try:
        found = codecs.lookup(text)
    except (LookupError, ValueError):
        return None
    canonical = found.name.replace("_", "-") if found.name.replace("_", "-") in _NO_CHARSETS else found.name
    # Codecs such as base64 and rot13 are not text encodings.
    if canonical in _NO_CHARSETS or not getattr(found, "_is_text_encoding", True) or found.incrementaldecoder is None:
        return None
    return charset_label(_SAME_AS.get(canonical, canonical))


def charset_label(codec: str) -> str:
    """The name of a Python codec as it is known outside of Python: `windows-1252` for `cp1252`."""
    name = codecs.lookup(codec).name
    if windows := _WINDOWS.fullmatch(name):
        return f"windows-{windows[1]}"
    if iso := _ISO.fullmatch(name):
        return f"iso-8859-{iso[1]}"
    return name.replace("_", "-") if name.startswith("mac") else name
