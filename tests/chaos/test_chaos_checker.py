"""The checker of `make chaos` finds each kind of broken promise: it would be worth nothing if it never found one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import psycopg
import pytest
from chaos.application import TABLES
from chaos.checker import Checker
from chaos.contents import Kind, Shipment, make_shipment
from chaos.ledger import Entry, Fate, Ledger

from application_client import client_of, make_key, open_application
from each_case import case
from import_steps import running_worker, settled

pytestmark = pytest.mark.chaos

SEED = 7


@dataclass
class Kept:
    """A few imports that went well, and the database that has them."""

    ledger: Ledger
    client: httpx.AsyncClient
    url: str

    async def violations(self, *tampering: str) -> list[str]:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            for statement in tampering:
                await connection.execute(statement.encode())
            self.ledger.violations.clear()
            await Checker(self.ledger, connection, self.client).check()
        return list(self.ledger.violations)


def shipments() -> list[Shipment]:
    """One of each kind, with and without bad rows."""
    found: dict[tuple[Kind, bool], Shipment] = {}
    for number in range(1, 200):
        shipment = make_shipment(SEED, number, 300)
        if shipment.resource == "platforms":
            found.setdefault((shipment.kind, bool(shipment.bad)), shipment)
    return list(found.values())


@pytest.fixture
async def kept(database_url: str) -> AsyncIterator[Kept]:
    ledger = Ledger()
    key = await make_key(database_url)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(TABLES.encode())
    async with (
        open_application(database_url) as app,
        client_of(app, key) as client,
        running_worker(app.state.bulkport, database_url),
    ):
        for shipment in shipments():
            entry = Entry(shipment)
            answer = await client.post(shipment.path(), content=shipment.body(1), headers=shipment.headers())
            if shipment.must_be_refused:
                assert answer.status_code == 400, answer.text
                entry.fate = Fate.REFUSED
            else:
                entry.fate, entry.import_id = Fate.ACCEPTED, answer.json()["id"]
                await settled(client, answer.json()["id"])
            ledger.entries.append(entry)
        yield Kept(ledger, client, database_url)


_ONE = "(SELECT id FROM platforms WHERE platform_name LIKE 's%' ORDER BY id LIMIT 1)"


_TAMPERINGS = (
    (f"DELETE FROM platforms WHERE id = {_ONE}", "1 rows lost, 0 doubled"),
    (f"INSERT INTO platforms (platform_name) SELECT platform_name FROM platforms WHERE id = {_ONE}", "1 doubled"),
    ("INSERT INTO platforms (platform_name) VALUES ('s999999-0000001')", "was never sent"),
    ("UPDATE bulkport.bulk_import_jobs SET success_count = success_count - 1", "and must be"),
    ('UPDATE bulkport.import_row_errors SET errors = \'[{"field": "", "message": "no"}]\'', "not platform"),
    ("TRUNCATE bulkport.import_row_errors", "reported rows"),
    ("INSERT INTO chaos_sent VALUES (1, 'plain')", "job 1 (plain) is []"),
    ("INSERT INTO chaos_ran VALUES (2, 1)", "job 2 ran 1 times"),
    ("UPDATE bulkport.bulk_import_jobs SET name = 's123456' WHERE id = 1", "that nobody sent"),
    ("DELETE FROM bulkport.bulk_import_jobs", "stored are []"),
)
"""What is done to the database, one after another, and what the checker says then that it has not said before."""


async def test_the_checker_finds_each_broken_promise(kept: Kept) -> None:
    assert await kept.violations() == []
    assert kept.ledger.rows_checked > 500
    assert kept.ledger.imports_checked >= 5
    assert kept.ledger.errors_checked >= 3
    kept.ledger.jobs.update({1: "committed", 2: "rolled back"})
    before = set(await kept.violations())
    for tampering, words in _TAMPERINGS:
        with case(tampering):
            found = set(await kept.violations(tampering))
            assert any(words in violation for violation in found - before), found - before
            before = found
