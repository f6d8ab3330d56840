"""Whoever queues one import does not wait for whoever has queued hundreds."""

import asyncio

import psycopg

from application_client import client_of, make_key
from command_site import open_command_site
from import_steps import NDJSON, fetch, ndjson, settled
from loop_watch import watched_loop

MANY = 150
TURNS = 20
"""Imports of the other user that may end before: those that were claimed already, and one for each turn."""

HOLD_SECONDS = 0.3
"""Far longer than a loop iteration beside a thread, and far shorter than a chunk of bad rows on any machine."""

_ENDED_BEFORE = """
    SELECT count(*) FROM bulkport.bulk_import_jobs many, bulkport.bulk_import_jobs few
    WHERE few.user_id = 'ada' AND many.user_id = 'eve' AND many.completed_at < few.completed_at
"""

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'
"""


async def test_an_import_is_claimed_next_however_many_of_another_user_wait(database_url: str) -> None:
    body = {"platforms": [{"platformName": f"p{number}"} for number in range(10)]}
    async with (
        open_command_site(database_url) as site,
        client_of(site.app, await make_key(database_url, "eve")) as eve,
        client_of(site.app, await make_key(database_url, "ada")) as ada,
    ):
        for _ in range(MANY // 10):
            sent = await asyncio.gather(*(eve.post("/api/platforms/bulk", json=body) for _ in range(10)))
            assert {answer.status_code for answer in sent} == {202}
        few = (await ada.post("/api/platforms/bulk", json=body)).json()["id"]
        async with site.worker():
            told = (await ada.get(f"/api/imports/{few}?wait=60")).json()
        assert told["status"] == "Completed"
    assert (await fetch(database_url, _ENDED_BEFORE))[0][0] <= TURNS


async def test_a_light_worker_imports_only_small_files(database_url: str) -> None:
    """However many rows the other workers are busy with, it is free for the few."""
    async with open_command_site(database_url) as site:
        many = await site.send([{"platformName": f"p{row}"} for row in range(201)])
        few = await site.send([{"platformName": f"p{row}"} for row in range(200)])
        async with site.worker(heavy=False):
            assert (await settled(site.api, few))["status"] == "Completed"
            assert (await site.status_of(many))["status"] == "Pending"
            async with site.worker():
                assert (await settled(site.api, many))["status"] == "Completed"


async def test_bad_rows_do_not_block_the_event_loop_of_their_worker(database_url: str) -> None:
    """Neither other imports nor the worker's heartbeat wait for the tens of thousands of them in a chunk."""
    async with (
        open_command_site(database_url) as site,
        client_of(site.app, await make_key(database_url, "eve")) as eve,
    ):
        bad = (await eve.post("/api/platforms/bulk", content=b'{"platformName":1}\n' * 60_000, headers=NDJSON)).json()[
            "id"
        ]
        few = (await eve.post("/api/platforms/bulk", content=b"1\n" * 1_900, headers=NDJSON)).json()["id"]
        async with watched_loop() as held, site.worker():
            told = [(await eve.get(f"/api/imports/{id_}?wait=60")).json() for id_ in (bad, few)]
    assert [job["failureCount"] for job in told] == [60_000, 1_900]
    assert max(held) < HOLD_SECONDS


async def test_a_few_rows_do_not_wait_for_another_users_chunks(database_url: str) -> None:
    rows = [{"howTo": f"do {number}", "commandLine": "x", "platformId": 1} for number in range(2_500)]
    async with (
        await psycopg.AsyncConnection.connect(database_url) as locking,
        open_command_site(database_url) as site,
        client_of(site.app, await make_key(database_url, "eve")) as eve,
        client_of(site.app, await make_key(database_url, "ada")) as ada,
    ):
        await ada.post("/api/platforms", json={"platformName": "a"})
        await locking.execute("LOCK TABLE commands IN EXCLUSIVE MODE")
        async with site.worker(chunk_slots=1, concurrency=2):
            # One of them has the only turn, the other one the last slot of the worker until it gives that up.
            many = [
                (await eve.post("/api/commands/bulk", content=ndjson(rows), headers=NDJSON)).json()["id"]
                for _ in range(2)
            ]
            async with asyncio.timeout(60):
                while not (await fetch(database_url, _WAITING))[0][0]:
                    await asyncio.sleep(0.01)
            few = (await ada.post("/api/platforms/bulk", json={"platforms": [{"platformName": "b"}]})).json()["id"]
            told = (await ada.get(f"/api/imports/{few}?wait=60")).json()
            assert told["status"] == "Completed"
            await locking.rollback()
            for id_ in many:
                assert (await eve.get(f"/api/imports/{id_}?wait=60")).json()["successCount"] == 2_500
