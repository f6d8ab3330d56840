"""How column names are compared."""

import unicodedata


def normalized_name(name: str) -> str:
    """The name without case, whitespace, `_`, `-` and invisible characters, in Unicode normal form C."""
    if not name.isascii():
        # Zero-width characters, byte order marks and soft hyphens are of category Cf.
        name = "".join(sign for sign in unicodedata.normalize("NFC", name) if unicodedata.category(sign) != "Cf")
    return "".join(name.split()).replace("_", "").replace("-", "").casefold()
