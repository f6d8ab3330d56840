"""The migrations of this version of Bulkport: a number, a name, SQL to go up and SQL to go down."""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from bulkport.jobs.postgres.schema import drop_schema_sql, schema_sql

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
        """SHA-256 of what goes up, without comments and line breaks; the same for each name of the schema."""
        return sha256(" ".join(_COMMENT.sub("", self.up).split()).encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations, in order. Once released, a file does not change any more."""
    return (
        Migration(1, "jobs", schema_sql(), drop_schema_sql()),
        *(_read(version, name) for version, name in ((2, "imports"), (3, "dashboard"))),
    )


def latest() -> int:
    """The version that this Bulkport needs."""
    return migrations()[-1].version


def _read(version: int, name: str) -> Migration:
    folder = files(__package__)
    stem = f"{version:04}_{name}"
    return Migration(
        version,
        name,
        folder.joinpath(f"{stem}.sql").read_text(encoding="utf-8"),
        folder.joinpath(f"{stem}.down.sql").read_text(encoding="utf-8"),
    )
