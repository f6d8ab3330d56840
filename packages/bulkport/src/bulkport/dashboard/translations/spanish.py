"""The pages' texts in Spanish."""

from collections.abc import Mapping
from typing import Final

SPANISH: Final[Mapping[str, str]] = {}
