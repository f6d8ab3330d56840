"""The short way of small imports: one statement does all, once, or nothing; what it does is what the usual way does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import psycopg
import pytest
from one_chunk import OneChunk, no_express, opened

from bulkport.errors import ResourceDeclarationError
from bulkport.identifiers import ImportId
from bulkport.imports.formats import BodyFormat

GOOD: Final = b'{"code":"a","level":1,"room_id":1}\n{"code":"b","room":"attic"}\n'
NOTHING_WRITTEN: Final = {
    "gauges": [],
    "job": [("Processing", None, None, None, None, [], 1, None)],
    "chunk": [("pending", 0, 0, None, False, True)],
    "errors": [],
}


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[OneChunk]:
    async with opened(database_url) as site:
        yield site


async def execute(site: OneChunk, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as connection:
        await connection.execute(statement.encode())


async def settled_either_way(
    database_url: str, body: bytes, form: BodyFormat, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """The result of an import by the single statement and by the general path, each in its own tables."""
    found = []
    for usual in (False, True):
        async with opened(database_url) as site:
            job_id = await site.accept(body, form)
            attempt = await site.begin(job_id)
            assert attempt is not None
            if usual:
                no_express(monkeypatch)
                await site.work(attempt)
            else:
                assert await site.run_single_statement(attempt)
            found.append(await site.state(job_id))
            await execute(site, "DROP TABLE gauges, rooms")
    return found


@pytest.mark.parametrize(
    ("body", "form"),
    [
        pytest.param(GOOD, BodyFormat.NDJSON, id="good"),
        pytest.param(
            GOOD
            + b'{"code":" ","room_id":1}\n{"code":"c","room_id":9}\n{"code":"d","room":"loft","b":1,"Z":2,"a":3}\n'
            + b'not json\n{"code":"e\\u0000","room_id":1}\n{"code":"f","room_id":1,"\xc3\xa9":[]}\n[1]\n',
            BodyFormat.NDJSON,
            id="some bad",
        ),
        pytest.param(b"{}\n" * 15, BodyFormat.NDJSON, id="all bad"),
        pytest.param(
            b'code,colour,level,room\na,x,7,cellar\n"b\n",,,attic\nc\n,red,1,cellar\nd,,x,attic\n',
            BodyFormat.CSV,
            id="csv",
        ),
        pytest.param(
            b'{"gauges":[{"code":"a","room_id":2,"x":1},{"code":"b","room_id":8},{"level":2}]}',
            BodyFormat.JSON,
            id="json",
        ),
    ],
)
async def test_a_single_statement_import_equals_the_general_path(
    database_url: str, body: bytes, form: BodyFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    express, usual = await settled_either_way(database_url, body, form, monkeypatch)
    assert express == usual
    assert express["job"][0][-1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"code":"a","room_id":2}', "Gauge with this code already exists"),
        (b'{"code":"old","room_id":2}', "Gauge with this code already exists"),
        (b'{"code":"c","room_id":1,"level":100}', "level 100 breaks the rule level_is_safe: level < 100"),
    ],
    ids=["repeated", "stored", "check"],
)
async def test_a_rejected_row_stores_nothing_and_the_general_path_reports_it(
    site: OneChunk, row: bytes, message: str
) -> None:
    await execute(site, "INSERT INTO gauges VALUES ('old', 0, 1)")
    job_id = await site.accept(GOOD + row + b"\n{}\n")
    attempt = await site.begin(job_id)
    assert attempt is not None
    assert not await site.run_single_statement(attempt)
    assert await site.state(job_id) == NOTHING_WRITTEN | {"gauges": [("old", 0, 1)]}

    await site.work(attempt)
    state = await site.state(job_id)
    assert state["gauges"] == [("a", 1, 1), ("b", None, 2), ("old", 0, 1)]
    assert state["job"][0][:4] == ("PartialSuccess", 4, 2, 2)
    (number, errors, _), _ = state["errors"]
    assert (number, errors[0]["message"]) == (3, message)


async def test_a_reference_deleted_between_lookup_and_write_is_a_row_error(site: OneChunk) -> None:
    # The row is inserted after the look-up, and the room goes at that moment.
    await execute(
        site,
        """
        CREATE FUNCTION lose_the_attic() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            DELETE FROM rooms WHERE id = 2;
            RETURN NEW;
        END $$;
        CREATE TRIGGER lose_the_attic BEFORE INSERT ON gauges FOR EACH ROW EXECUTE FUNCTION lose_the_attic();
        """,
    )
    job_id = await site.accept(GOOD)
    attempt = await site.begin(job_id)
    assert attempt is not None
    assert not await site.run_single_statement(attempt)
    assert await site.state(job_id) == NOTHING_WRITTEN
    await execute(site, "DROP TRIGGER lose_the_attic ON gauges; DELETE FROM rooms WHERE id = 2")
    await site.work(attempt)
    state = await site.state(job_id)
    assert state["gauges"] == [("a", 1, 1)]
    assert state["job"][0][:4] == ("PartialSuccess", 2, 1, 1)


async def test_an_import_completes_once(site: OneChunk) -> None:
    job_id = await site.accept(GOOD)
    attempts = [await site.begin(job_id) for _ in range(4)]
    assert all(attempt is not None for attempt in attempts)
    went = await asyncio.gather(*(site.run_single_statement(attempt) for attempt in attempts if attempt is not None))
    assert sorted(went) == [False, False, False, True]
    state = await site.state(job_id)
    assert state["gauges"] == [("a", 1, 1), ("b", None, 2)]
    assert state["job"][0][:4] == ("Completed", 2, 2, 0)

    # One that comes later, even where the rows would do no harm, finds nothing to do.
    await execute(site, "TRUNCATE gauges")
    late = attempts[0]
    assert late is not None
    assert not await site.run_single_statement(late)
    await site.work(late)
    assert await site.state(job_id) == state | {"gauges": []}


async def test_a_cancelled_import_is_left_alone(site: OneChunk) -> None:
    job_id = await site.accept(GOOD)
    attempt = await site.begin(job_id)
    assert attempt is not None
    await execute(
        site,
        "UPDATE bulkport.bulk_import_jobs"
        " SET status = 'Cancelled', started_at = NULL, completed_at = clock_timestamp()",
    )
    state = await site.state(job_id)
    assert not await site.run_single_statement(attempt)
    assert await site.state(job_id) == state


@pytest.mark.parametrize(
    "lock",
    [
        "SELECT FROM bulkport.import_chunks FOR UPDATE",
        "SELECT FROM bulkport.bulk_import_jobs FOR SHARE",
        "SELECT FROM bulkport.bulk_import_jobs FOR UPDATE",
    ],
)
async def test_chunks_of_another_worker_are_not_waited_for(site: OneChunk, lock: str) -> None:
    job_id = await site.accept(GOOD)
    attempt = await site.begin(job_id)
    assert attempt is not None
    async with site.pool.connection() as other, other.transaction():
        await other.execute(lock.encode())
        async with asyncio.timeout(60):
            assert not await site.run_single_statement(attempt)
        assert await site.state(job_id) == NOTHING_WRITTEN


async def test_a_deadlock_with_another_import_costs_no_attempt(site: OneChunk) -> None:
    job_id = await site.accept(b'{"code":"a","room_id":1}\n{"code":"b","room_id":1}\n')
    attempt = await site.begin(job_id)
    assert attempt is not None
    async with await psycopg.AsyncConnection.connect(site.url) as rival:
        await rival.execute("SET LOCAL deadlock_timeout = '60s'")  # the import is to be the one that gives way
        await rival.execute("INSERT INTO gauges VALUES ('b', 0, 2)")
        working = asyncio.create_task(site.work(attempt))
        await _someone_waits(site)
        await rival.execute("INSERT INTO gauges VALUES ('a', 0, 2)")
        await rival.commit()
        await working
    state = await site.state(job_id)
    assert state["gauges"] == [("a", 0, 2), ("b", 0, 2)]
    assert state["job"][0][:4] == ("Failed", 2, 0, 2)
    assert await _value(site, job_id, "last_fault") is None


@pytest.mark.parametrize(
    "table", ["gauges", "bulkport.import_row_errors", "bulkport.import_chunks", "bulkport.bulk_import_jobs"]
)
async def test_a_connection_killed_midway_leaves_nothing(site: OneChunk, table: str) -> None:
    """At each of its writes the statement is stopped, and its session ended as by a killed worker or server."""
    job_id = await site.accept(GOOD + b"{}\n")
    attempt = await site.begin(job_id)
    assert attempt is not None
    await execute(
        site,
        f"""
        CREATE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(1);
            RETURN NEW;
        END $$;
        CREATE TRIGGER stop_here BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION stop_here();
        """,
    )
    async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as other:
        await other.execute("SELECT pg_advisory_lock(1)")
        going = asyncio.create_task(site.run_single_statement(attempt))
        await other.execute("SELECT pg_terminate_backend(%s)", (await _someone_waits(site),))
        with pytest.raises(psycopg.OperationalError):
            await going
        assert await site.state(job_id) == NOTHING_WRITTEN
    # The next attempt does it all, once.
    again = await site.begin(job_id)
    assert again is not None
    assert await site.run_single_statement(again)
    state = await site.state(job_id)
    assert state["gauges"] == [("a", 1, 1), ("b", None, 2)]
    assert state["job"][0][:4] == ("PartialSuccess", 3, 2, 1)
    assert [number for number, *_ in state["errors"]] == [3]


async def test_a_fault_unrelated_to_rows_stores_nothing_and_the_general_path_reports_it(site: OneChunk) -> None:
    job_id = await site.accept(GOOD)
    attempt = await site.begin(job_id)
    assert attempt is not None
    await execute(site, "ALTER TABLE gauges DROP COLUMN level")
    assert not await site.run_single_statement(attempt)
    with pytest.raises(ResourceDeclarationError, match="level"):
        await site.work(attempt)
    await execute(site, "ALTER TABLE gauges ADD COLUMN level integer")
    assert await site.state(job_id) == NOTHING_WRITTEN


async def _someone_waits(site: OneChunk) -> int:
    """Wait until a session of this database waits for a lock; its process id."""
    async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as connection, asyncio.timeout(60):
        while True:
            cursor = await connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if row := await cursor.fetchone():
                return int(row[0])
            await asyncio.sleep(0.01)


async def _value(site: OneChunk, job_id: ImportId, column: str) -> Any:
    async with site.pool.connection() as connection:
        statement = f"SELECT {column} FROM bulkport.bulk_import_jobs WHERE id = %s"
        row = await (await connection.execute(statement.encode(), (job_id,))).fetchone()
    assert row is not None
    return row[0]
