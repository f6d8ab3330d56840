"""Whoever queues one import does not wait for whoever has queued hundreds."""

import asyncio

from application_client import client_of, make_key
from command_site import open_command_site
from import_steps import fetch

MANY = 150
TURNS = 20
"""Imports of the other user that may end before: those that were claimed already, and one for each turn."""

_ENDED_BEFORE = """
    SELECT count(*) FROM bulkport.bulk_import_jobs many, bulkport.bulk_import_jobs few
    WHERE few.user_id = 'ada' AND many.user_id = 'eve' AND many.completed_at < few.completed_at
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
