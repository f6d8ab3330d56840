"""How names of columns are compared."""

import unicodedata


def loosened(name: str) -> str:
    """What is compared of a name: no case, no blanks, `_` and `-`, nothing invisible, one form of each letter."""
    if not name.isascii():
        # Zero-width characters, byte order marks and soft hyphens are of category Cf.
        name = "".join(sign for sign in unicodedata.normalize("NFC", name) if unicodedata.category(sign) != "Cf")
    return "".join(name.split()).replace("_", "").replace("-", "").casefold()
