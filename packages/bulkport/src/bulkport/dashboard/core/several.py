"""Several values in one field of an address: `queue=mail,reports`. A value with a comma of its own stands in quotes."""

import re
from collections.abc import Iterable
from typing import Final, overload

_VALUE: Final = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*(?=,|$)|([^,]*))(?:,|$)')


def several(text: str) -> tuple[str, ...]:
    """The values that a text lists, each once, in their order."""
    found: list[str] = []
    for quoted, plain in _VALUE.findall(text):
        value = quoted.replace('""', '"') if quoted else plain.strip()
        if value and value not in found:
            found.append(value)
    return tuple(found)


@overload
def exactly(value: str) -> str: ...
@overload
def exactly(value: None) -> None: ...


def exactly(value: str | None) -> str | None:
    """One value as `several` finds it again, whatever characters it has."""
    if value is None:
        return None
    is_plain = "," not in value and not value.startswith('"') and value == value.strip()
    return value if is_plain else '"{}"'.format(value.replace('"', '""'))


def listed(values: Iterable[str]) -> str:
    """Several values as one text, which `several` reads."""
    return ",".join(map(exactly, values))
