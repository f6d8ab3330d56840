"""The pages' texts in German."""

from collections.abc import Mapping
from typing import Final

GERMAN: Final[Mapping[str, str]] = {}
