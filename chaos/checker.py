"""Compares every row, count, error, status and job with what was sent."""

from collections import Counter
from typing import Any, Final

import httpx
import psycopg

from chaos.application import POISON_ATTEMPTS
from chaos.ledger import Entry, Fate, Ledger

_LABELS: Final = {"platforms": "platform_name", "commands": "how_to"}
_SHOWN: Final = 20


class Checker:
    """Checks a settled run.

    Parameters
    ----------
    connection
        Of the database, past every proxy.
    client
        Of the API, past every proxy, with the user's key.
    """

    def __init__(self, ledger: Ledger, connection: psycopg.AsyncConnection[Any], client: httpx.AsyncClient) -> None:
        self._ledger = ledger
        self._connection = connection
        self._client = client

    async def check(self) -> None:
        """Check everything; record broken promises in the ledger."""
        imports = await self._imports()
        for entry in self._ledger.entries:
            self._check_acceptance(entry, imports.pop(entry.shipment.name, []))
        for name, ids in imports.items():
            self._ledger.violated(f"{name}: imports {ids} that nobody sent")
        for resource in _LABELS:
            await self._check_rows(resource)
        for entry in self._ledger.entries:
            if entry.import_id is not None:
                await self._check_import(entry)
        await self._check_nothing_is_left()
        await self._check_jobs()

    async def _rows(self, statement: str) -> list[Any]:
        return await (await self._connection.execute(statement.encode())).fetchall()

    async def _imports(self) -> dict[str, list[int]]:
        """Ids of the stored imports by name."""
        found: dict[str, list[int]] = {}
        for name, number in await self._rows("SELECT name, id FROM bulkport.bulk_import_jobs ORDER BY id"):
            found.setdefault(name, []).append(number)
        return found

    def _check_acceptance(self, entry: Entry, ids: list[int]) -> None:
        """Each request is accepted once or not at all; if its response was lost, find out which."""
        name, fate = entry.shipment.name, entry.fate
        if fate is Fate.ACCEPTED and ids != [entry.import_id]:
            self._ledger.violated(f"{name} was accepted as {entry.import_id}, stored are {ids}")
        elif fate is Fate.REFUSED and ids:
            self._ledger.violated(f"{name} was refused, and is stored as {ids}")
        elif fate is Fate.OPEN:
            self._ledger.violated(f"{name} never got an answer, in {entry.tries} tries")
        elif fate is Fate.UNKNOWN:
            if len(ids) > 1:
                self._ledger.violated(f"{name} was sent once, and is stored as {ids}")
            entry.import_id = ids[0] if ids else None

    async def _check_rows(self, resource: str) -> None:
        """Each good row of an accepted import is stored once, and no other."""
        entries = {e.shipment.name: e for e in self._ledger.entries if e.shipment.resource == resource}
        stored = {name: bytearray(entry.shipment.rows + 1) for name, entry in entries.items()}
        strangers: Counter[str] = Counter()
        label = _LABELS[resource]
        async with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY (SELECT {label} FROM {resource} WHERE {label} LIKE 's%-%') TO STDOUT".encode()) as copy,
        ):
            rest = b""
            async for block in copy:
                lines = (rest + bytes(block)).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    name, _, row = line.decode().partition("-")
                    seen, number = stored.get(name), int(row)
                    if seen is None or number >= len(seen):
                        strangers[line.decode()] += 1
                    elif seen[number] < 255:
                        seen[number] += 1
        for found, times in strangers.most_common(_SHOWN):
            self._ledger.violated(f"{resource}: {found} is stored {times} times, and was never sent")
        for name, entry in entries.items():
            self._compare_rows(entry, stored[name])

    def _compare_rows(self, entry: Entry, stored: bytearray) -> None:
        shipment = entry.shipment
        keeps = entry.import_id is not None and shipment.good_rows > 0
        wanted = bytearray([0]) + bytearray([int(keeps)]) * shipment.rows
        if keeps:
            for row in shipment.bad:
                wanted[row] = 0
        self._ledger.rows_checked += shipment.rows
        if stored == wanted:
            return
        lost = sum(have < want for have, want in zip(stored, wanted, strict=True))
        doubled = sum(have > 1 for have in stored)
        excess = sum(have > want for have, want in zip(stored, wanted, strict=True)) - doubled
        self._ledger.violated(
            f"{shipment.name} ({shipment.kind}, {entry.fate}, import {entry.import_id}): "
            f"{lost} rows lost, {doubled} doubled, {excess} stored that must not be"
        )

    async def _check_import(self, entry: Entry) -> None:
        """The API reports the import's true outcome."""
        shipment = entry.shipment
        answer = await self._client.get(f"/api/{shipment.resource}/bulk/{entry.import_id}/status")
        if answer.status_code != 200:
            self._ledger.violated(f"{shipment.name}: its status is answered {answer.status_code}")
            return
        now = answer.json()
        self._ledger.imports_checked += 1
        if shipment.must_fail:
            wanted: dict[str, Any] = {"status": "Failed", "successCount": 0, "totalRecords": shipment.rows}
        else:
            wanted = {
                "status": "PartialSuccess" if shipment.bad else "Completed",
                "totalRecords": shipment.rows,
                "processedRecords": shipment.rows,
                "successCount": shipment.rows - len(shipment.bad),
                "failureCount": len(shipment.bad),
            }
        if any(now[member] != value for member, value in wanted.items()):
            self._ledger.violated(f"{shipment.name} ({shipment.kind}): {now}, and must be {wanted}")
        if entry.last is not None and entry.last["completedAt"] is not None and entry.last != now:
            self._ledger.violated(f"{shipment.name} changed after its end: {entry.last} then {now}")
        await self._check_errors(entry)

    async def _check_errors(self, entry: Entry) -> None:
        shipment = entry.shipment
        answer = await self._client.get(
            f"/api/imports/{entry.import_id}/errors", headers={"accept": "application/x-ndjson"}
        )
        lines = answer.text.splitlines() if answer.status_code == 200 else []
        reported = [httpx.Response(200, text=line).json() for line in lines]
        self._ledger.errors_checked += len(reported)
        rows = [each["row"] for each in reported]
        if rows != sorted(shipment.bad):
            self._ledger.violated(f"{shipment.name}: reported rows {rows[:9]}…, bad ones {sorted(shipment.bad)[:9]}…")
            return
        for each in reported:
            bad = shipment.bad[each["row"]]
            (error, *others) = each["errors"]
            if others or error["field"] != bad.field or not error["message"].startswith(bad.message):
                self._ledger.violated(f"{shipment.name}, row {each['row']}: {each['errors']}, not {bad.message}")

    async def _check_nothing_is_left(self) -> None:
        """Finished imports have released everything, and every background job's history has an end."""
        for what, statement in (
            ("imports are unfinished", "SELECT count(*) FROM bulkport.bulk_import_jobs WHERE completed_at IS NULL"),
            ("chunks kept their payload", "SELECT count(*) FROM bulkport.import_chunks WHERE payload IS NOT NULL"),
            ("background jobs have no end", "SELECT count(*) FROM bulkport.all_jobs WHERE finished_at IS NULL"),
            (
                "imports have counts that are not those of their rows",
                "SELECT count(*) FROM bulkport.bulk_import_jobs WHERE success_count + failure_count > total_records",
            ),
        ):
            ((count,),) = await self._rows(statement)
            if count:
                self._ledger.violated(f"{count} {what}")

    async def _check_jobs(self) -> None:
        """A job runs at least once if and only if its transaction committed, and its history ends as its task does."""
        sent = dict(await self._rows("SELECT number, kind FROM chaos_sent"))
        runs = Counter(dict(await self._rows("SELECT number, count(*) FROM chaos_ran GROUP BY number")))
        states: dict[int, list[str]] = {}
        for number, state in await self._rows(
            "SELECT (args ->> 'number')::bigint, state::text FROM bulkport.all_jobs WHERE task LIKE 'chaos.%'"
        ):
            states.setdefault(number, []).append(state)
        self._ledger.runs = sum(runs.values())
        for number, fate in self._ledger.jobs.items():
            self._ledger.jobs_checked += 1
            self._check_job(number, fate, sent.get(number), runs[number], states.get(number, []))

    def _check_job(self, number: int, fate: str, kind: str | None, runs: int, states: list[str]) -> None:
        if (fate == "committed" and kind is None) or (fate == "rolled back" and kind is not None):
            self._ledger.violated(f"job {number}: its transaction was {fate}, its row is {kind}")
        if kind is None:
            if runs or states:
                self._ledger.violated(f"job {number} ran {runs} times, {states}, and was not committed")
            return
        wanted = "failed" if kind == "poison" else "succeeded"
        if states != [wanted]:
            self._ledger.violated(f"job {number} ({kind}) is {states}, not {wanted}")
        # A run records itself in a separate statement, which a fault may make fail together with the run.
        if runs < 1 and not (kind == "poison" and runs < POISON_ATTEMPTS):
            self._ledger.violated(f"job {number} ({kind}) is {states} and never ran")
