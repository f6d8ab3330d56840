"""Bodies with every kind of bad row, and the expected results."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that must be refused, and for what."""

    line: str
    field: str
    message: str
    """Beginning of the message."""

    @property
    def record(self) -> Any:
        """The record as the error report shows it."""
        try:
            value = json.loads(self.line)
        except ValueError:
            return self.line
        return value if isinstance(value, dict) else self.line


@dataclass(slots=True)
class Body:
    """An NDJSON body."""

    resource: str
    label_column: str
    lines: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)
    """Labels of the good rows."""
    bad: dict[int, BadRow] = field(default_factory=dict)
    """Bad rows by row number."""

    @property
    def data(self) -> bytes:
        return "\n".join(self.lines).encode() + b"\n"

    @property
    def rows(self) -> int:
        return len(self.lines)


_NOT_JSON = BadRow('{"platformName": "cut off', "", "the row is not valid JSON")
_NO_OBJECT = BadRow("[1, 2]", "", "the row must be a JSON object")

BAD_PLATFORMS = (
    BadRow('{"platformName": "  "}', "platformName", "platformName must not be blank"),
    BadRow(json.dumps({"platformName": "x" * 101}), "platformName", "platformName must be at most 100"),
    BadRow("{}", "platformName", "platformName is required"),
    BadRow('{"platformName": 7}', "platformName", "platformName must be text"),
    BadRow('{"platformName": null}', "platformName", "platformName must not be null"),
    _NOT_JSON,
    _NO_OBJECT,
)
BAD_COMMANDS = (
    BadRow('{"howTo": "a", "commandLine": "b", "platformId": 999999}', "platformId", "Platform 999999 does not exist"),
    BadRow(
        '{"howTo": "a", "commandLine": "b", "platformName": "nowhere"}',
        "platformName",
        "Platform 'nowhere' does not exist",
    ),
    BadRow('{"howTo": "a", "commandLine": "b"}', "platformId", "platformId or platformName is required"),
    BadRow('{"howTo": " ", "commandLine": "b", "platformId": 1}', "howTo", "howTo must not be blank"),
    BadRow('{"howTo": "a", "platformId": 1}', "commandLine", "commandLine is required"),
    _NOT_JSON,
    _NO_OBJECT,
)


def platforms(rows: int, *, chance: random.Random, bad_share: float = 0.0, prefix: str = "p") -> Body:
    """Platforms with names that count from `PREFIX0000001`."""
    body = Body("platforms", "platform_name")
    return _fill(
        body,
        rows,
        kinds=BAD_PLATFORMS,
        chance=chance,
        bad_share=bad_share,
        prefix=prefix,
        record=lambda name: {"platformName": name},
    )


def commands(rows: int, *, chance: random.Random, bad_share: float = 0.0) -> Body:
    """Commands of the platform with id 1 and name Docker, every other one by its name."""
    body = Body("commands", "how_to")

    def record(name: str) -> dict[str, Any]:
        platform = {"platformId": 1} if name[-1] in "02468" else {"platformName": "Docker"}
        return {"howTo": name, "commandLine": "docker ps", **platform}

    return _fill(body, rows, kinds=BAD_COMMANDS, chance=chance, bad_share=bad_share, prefix="c", record=record)


def _fill(
    body: Body,
    rows: int,
    *,
    kinds: tuple[BadRow, ...],
    chance: random.Random,
    bad_share: float,
    prefix: str,
    record: Callable[[str], dict[str, Any]],
) -> Body:
    bad_rows = set(chance.sample(range(1, rows + 1), int(rows * bad_share)))
    for row in range(1, rows + 1):
        if row in bad_rows:
            kind = kinds[len(body.bad) % len(kinds)]
            body.bad[row] = kind
            body.lines.append(kind.line)
        else:
            name = f"{prefix}{row:07d}"
            body.good.append(name)
            body.lines.append(json.dumps(record(name)))
    return body
