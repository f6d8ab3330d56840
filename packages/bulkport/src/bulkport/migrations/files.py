"""The migrations of this version of Bulkport: a number, a name, SQL to go up and SQL to go down."""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_COMMENT: Final = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    up: str
    """Script of several statements, with the prefix `bulkport.` on every name."""
    down: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the upgrade script without comments and line breaks; independent of the schema name."""
        return sha256(" ".join(_COMMENT.sub("", self.up).split()).encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations, in order. Once released, a file does not change any more."""
    functions = files("bulkport").joinpath("jobs", "postgres", "sql")
    return (_read(1, "jobs", functions), _read(2, "imports"), _read(3, "dashboard"))


def latest() -> int:
    """The version that this Bulkport needs."""
    return migrations()[-1].version


def _read(version: int, name: str, functions: Traversable | None = None) -> Migration:
    """A migration of a script for each direction, and of a folder of functions that come with the first."""
    stem = f"{version:04}_{name}"
    up = _text(files(__package__).joinpath(f"{stem}.sql"))
    if functions is not None:
        found = sorted((file for file in functions.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
        # Functions may be made in any order: what one written in SQL calls is looked up when it is called.
        scripts = ["SET LOCAL check_function_bodies = off;", up, *map(_text, found), "RESET check_function_bodies;", ""]
        up = "\n".join(scripts)
    return Migration(version, name, up, _text(files(__package__).joinpath(f"{stem}.down.sql")))


def _text(file: Traversable) -> str:
    return file.read_text(encoding="utf-8")
