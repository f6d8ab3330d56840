"""The clients of the API: they import platforms and commands, with the mistakes that people make."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import httpx

LONG_ROWS: Final = 300_000
"""So many are under way for as long as the pictures of them take."""

_DAILY_ROWS: Final = (12, 480, 2_500, 9_000)
_POLL_SECONDS: Final = 0.1
_CSV: Final = {"content-type": "text/csv"}
_NDJSON: Final = {"content-type": "application/x-ndjson"}


class Clients:
    """Users with their keys and imports.

    Parameters
    ----------
    users:
        A client of each, who is known by the key.
    chance:
        Makes the same mistakes each time.
    """

    def __init__(self, users: Sequence[httpx.AsyncClient], chance: random.Random) -> None:
        self._users = users
        self._chance = chance
        lines = files("commandapi.examples").joinpath("commands.ndjson").read_text(encoding="utf-8").splitlines()
        self._commands: list[dict[str, str]] = [json.loads(line) for line in lines]

    async def open(self) -> None:
        """Import referenced rows and a typical day of others."""
        platforms = files("commandapi.examples").joinpath("platforms.csv").read_bytes()
        await self._end_of(await self._import(0, "platforms", platforms, _CSV))
        # Strict: none is imported where one is bad.
        names = ["Docker", "Git", " ", "Helm"]
        body = "\n".join(json.dumps({"platformName": name}) for name in names).encode()
        await self._import(1, "platforms", body, {**_NDJSON, "prefer": "handling=strict"})
        for number, rows in enumerate(_DAILY_ROWS):
            await self._import_commands(number, rows, share_of_mistakes=1 / 60 if number % 2 else 0)

    async def begin_long(self) -> int:
        """Begin two long imports of two users; the id of the one with more mistakes."""
        await self._import_commands(2, LONG_ROWS // 2, share_of_mistakes=0)
        return await self._import_commands(0, LONG_ROWS, share_of_mistakes=1 / 700)

    async def until_rows(self, import_id: int, rows: int) -> None:
        """Wait until so many rows of an import of the first user have been worked on."""
        await self._until(0, import_id, lambda status: bool(status["processedRecords"] >= rows))

    async def _import_commands(self, user: int, rows: int, *, share_of_mistakes: float) -> int:
        # Beside the loop, which also serves and works.
        body = await asyncio.to_thread(self._body, rows, share_of_mistakes)
        return await self._import(user, "commands", body, _NDJSON)

    def _body(self, rows: int, share_of_mistakes: float) -> bytes:
        return b"\n".join(json.dumps(self._record(share_of_mistakes)).encode() for _ in range(rows))

    def _record(self, share_of_mistakes: float) -> Mapping[str, str]:
        record = self._chance.choice(self._commands)
        if self._chance.random() >= share_of_mistakes:
            return record
        mistakes: Sequence[Mapping[str, str]] = (
            {"platformName": "Kubernets"},
            {"platformName": "Kubernets"},
            {"platformName": "Postgres"},
            {"commandLine": "  "},
            {"howTo": " ".join([record["howTo"]] * 12)},
        )
        return {**record, **self._chance.choice(mistakes)}

    async def _import(self, user: int, resource: str, body: bytes, headers: Mapping[str, str]) -> int:
        client = self._users[user % len(self._users)]
        answer = await client.post(f"/api/{resource}/bulk", content=body, headers=dict(headers))
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return int(answer.json()["id"])

    async def _end_of(self, import_id: int) -> None:
        await self._until(0, import_id, lambda status: status["completedAt"] is not None)

    async def _until(self, user: int, import_id: int, check: Any) -> None:
        while not check((await self._users[user].get(f"/api/imports/{import_id}")).json()):
            await asyncio.sleep(_POLL_SECONDS)
