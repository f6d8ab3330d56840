"""Imports with known rows and the expected outcome of each."""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

REFERENCED_PLATFORM: Final = "chaos"
"""Platform that commands belong to."""


class Kind(StrEnum):
    """How an import is sent."""

    ENVELOPE = "envelope"
    BAD_ENVELOPE = "bad envelope"
    NDJSON = "ndjson"
    CSV = "csv"
    STRICT = "strict ndjson"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that must be refused."""

    record: dict[str, Any]
    field: str
    message: str
    """Beginning of the message."""


_BLANK: Final = BadRow({"platformName": "  "}, "platformName", "platformName must not be blank")
_LONG: Final = BadRow({"platformName": "x" * 101}, "platformName", "platformName must be at most 100")
_MISSING: Final = BadRow({}, "platformName", "platformName is required")
_NUMBER: Final = BadRow({"platformName": 7}, "platformName", "platformName must be text")
_BLANK_COMMAND: Final = BadRow({"howTo": " ", "commandLine": "x", "platformId": 1}, "howTo", "howTo must not be blank")
_LONG_COMMAND: Final = BadRow(
    {"howTo": "x" * 251, "commandLine": "x", "platformId": 1}, "howTo", "howTo must be at most 250"
)
_NO_PLATFORM: Final = BadRow(
    {"howTo": "x", "commandLine": "x", "platformId": 999_999_999}, "platformId", "Platform 999999999 does not exist"
)

_BAD: Final = {
    ("platforms", False): (_BLANK, _LONG, _MISSING, _NUMBER),
    ("platforms", True): (_BLANK, _LONG),
    ("commands", False): (_BLANK_COMMAND, _LONG_COMMAND, _NO_PLATFORM),
    ("commands", True): (_BLANK_COMMAND, _LONG_COMMAND, _NO_PLATFORM),
}


@dataclass(frozen=True, slots=True)
class Shipment:
    """One import, made by its number alone, so that its rows need not be kept."""

    number: int
    kind: Kind
    resource: str
    rows: int
    bad: dict[int, BadRow]
    """Bad rows by row number, from 1."""
    is_compressed: bool
    is_keyed: bool
    """Whether it has an `Idempotency-Key`, and is sent again until it is answered."""

    @property
    def name(self) -> str:
        """What all its rows' labels begin with."""
        return f"s{self.number:06d}"

    def label(self, row: int) -> str:
        """Label of a good row."""
        return f"{self.name}-{row:07d}"

    @property
    def must_be_refused(self) -> bool:
        """Whether the request is answered 400 and nothing is queued."""
        return self.kind is Kind.BAD_ENVELOPE

    @property
    def must_fail(self) -> bool:
        """Whether it is accepted and then fails as a whole."""
        return self.kind is Kind.STRICT and bool(self.bad)

    @property
    def good_rows(self) -> int:
        """Rows that are stored in the end."""
        return 0 if self.must_be_refused or self.must_fail else self.rows - len(self.bad)

    def path(self) -> str:
        """Path of the request, with its query."""
        return f"/api/{self.resource}/bulk?name={self.name}"

    def headers(self) -> dict[str, str]:
        """Headers of the request."""
        types = {Kind.CSV: "text/csv", Kind.NDJSON: "application/x-ndjson", Kind.STRICT: "application/x-ndjson"}
        headers = {"content-type": types.get(self.kind, "application/json")}
        if self.is_compressed:
            headers["content-encoding"] = "gzip"
        if self.kind is Kind.STRICT:
            headers["prefer"] = "handling=strict"
        if self.is_keyed:
            headers["idempotency-key"] = f"chaos-{self.number}"
        return headers

    def body(self, platform_id: int) -> bytes:
        """Bytes of the request, the same each time."""
        if self.kind is Kind.CSV:
            body = "".join(self._csv(platform_id)).encode()
        elif self.kind in {Kind.ENVELOPE, Kind.BAD_ENVELOPE}:
            body = json.dumps({self.resource: [json.loads(line) for line in self._json(platform_id)]}).encode()
        else:
            body = "\n".join(self._json(platform_id)).encode() + b"\n"
        return gzip.compress(body, 1, mtime=0) if self.is_compressed else body

    def _json(self, platform_id: int) -> Iterator[str]:
        name = self.name
        for row in range(1, self.rows + 1):
            if (bad := self.bad.get(row)) is not None:
                yield json.dumps(bad.record)
            elif self.resource == "platforms":
                yield f'{{"platformName":"{name}-{row:07d}"}}'
            else:
                yield f'{{"howTo":"{name}-{row:07d}","commandLine":"chaos run {row}","platformId":{platform_id}}}'

    def _csv(self, platform_id: int) -> Iterator[str]:
        name = self.name
        fields = ("platformName",) if self.resource == "platforms" else ("howTo", "commandLine", "platformId")
        yield ",".join(fields) + "\r\n"
        for row in range(1, self.rows + 1):
            if (bad := self.bad.get(row)) is not None:
                yield ",".join(f'"{bad.record[field]}"' for field in fields) + "\r\n"
            elif self.resource == "platforms":
                yield f"{name}-{row:07d}\r\n"
            else:
                yield f'{name}-{row:07d},"chaos, ""{row}""",{platform_id}\r\n'


_KINDS: Final = {Kind.ENVELOPE: 50, Kind.BAD_ENVELOPE: 5, Kind.NDJSON: 25, Kind.CSV: 12, Kind.STRICT: 8}


def make_shipment(seed: int, number: int, most_rows: int) -> Shipment:
    """The import with a number; the same for the same seed."""
    chance = random.Random(f"{seed}/{number}")
    (kind,) = chance.choices(list(_KINDS), list(_KINDS.values()))
    resource = chance.choices(["platforms", "commands"], [3, 1])[0]
    if kind in {Kind.ENVELOPE, Kind.BAD_ENVELOPE}:
        rows = chance.choice((1, 10, 100, 1000))
    else:
        rows = max(20, int(most_rows * chance.random() ** 2))
    kinds = _BAD[resource, kind is Kind.CSV]
    if kind is Kind.ENVELOPE:
        bad_rows: list[int] = []
    elif kind is Kind.BAD_ENVELOPE:
        bad_rows = [chance.randint(1, rows)]
    elif kind is Kind.STRICT:
        bad_rows = [chance.randint(1, rows)] if chance.random() < 0.5 else []
    else:
        bad_rows = chance.sample(range(1, rows + 1), min(200, int(rows * chance.choice((0, 0, 0.01, 0.1)))))
    bad = {row: kinds[place % len(kinds)] for place, row in enumerate(sorted(bad_rows))}
    if kind is Kind.BAD_ENVELOPE and resource == "commands":
        # What the database knows of a platform is a row's error, and no envelope's.
        bad = dict.fromkeys(bad, _BLANK_COMMAND)
    is_compressed = kind is not Kind.BAD_ENVELOPE and chance.random() < 0.3
    return Shipment(number, kind, resource, rows, bad, is_compressed, is_keyed=chance.random() < 0.85)
