"""Masks passwords in text that is shown or logged."""

import re
from typing import Final

_URL_PASSWORD: Final = re.compile(r"(?<=://)([^\s:/@]*):[^\s/]*@")
_KEYWORD_PASSWORD: Final = re.compile(r"(password|passwd|pwd)=('[^']*'|[^\s&'\"]+)", re.IGNORECASE)
_MASK: Final = "***"


def mask_passwords(text: str) -> str:
    """The text without the passwords of URLs and connection strings in it."""
    text = _URL_PASSWORD.sub(rf"\1:{_MASK}@", text)
    return _KEYWORD_PASSWORD.sub(rf"\1={_MASK}", text)
