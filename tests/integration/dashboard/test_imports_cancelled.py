"""Cancelling imports in the dashboard while workers process them."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from bulkport.identifiers import BackgroundJobId, ImportId
from bulkport.imports import cancel as cancelling
from bulkport.imports.states import CancellationAsker
from bulkport.jobs import JobState
from command_site import CommandSite, open_command_site, until
from import_steps import settled

PLATFORMS = [{"platformName": f"Platform {number}"} for number in range(60)]
STRICT = "handling=strict"


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[CommandSite]:
    """An open Command API whose imports are cut into chunks of a few rows."""
    async with open_command_site(database_url, chunk_bytes=200) as site:
        yield site


async def cancel(site: CommandSite, import_id: int) -> str:
    """Press the button, confirm, and return the message."""
    page = await site.page(f"imports/{import_id}")
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    form = {"csrf": found[1], "back": f"imports/{import_id}", "id": str(import_id)}
    asked = await site.browser.post("/hangfire/do/imports/cancel", data=form)
    assert f"Cancel import #{import_id}?" in asked.text
    answer = await site.browser.post("/hangfire/do/imports/cancel", data={**form, "confirmed": "yes"})
    assert answer.status_code == 303
    flash = re.search(r'class="flash[^>]*>.*?</svg>(.*?)</div>', await site.page(f"imports/{import_id}"), re.DOTALL)
    assert flash is not None
    return html.unescape(flash[1])


async def value(site: CommandSite, query: str) -> Any:
    async with await psycopg.AsyncConnection.connect(site.url) as connection:
        row = await (await connection.execute(query)).fetchone()  # type: ignore[call-overload]
        return None if row is None else row[0]


async def in_hand(site: CommandSite, import_id: int, words: str = "1 in progress") -> None:
    async def has() -> bool:
        return words in await site.page(f"imports/{import_id}")

    await until(has, f"import {import_id} with {words}")


async def assert_cancelled(site: CommandSite, import_id: int) -> dict[str, Any]:
    """It has completed as Cancelled with the stored counts, and no payload is left."""
    job = await settled(site.api, import_id)
    assert job["status"] == "Cancelled"
    assert job["completedAt"] is not None
    assert job["successCount"] == await value(site, "SELECT count(*) FROM platforms")
    assert job["errorSummary"].startswith("Cancelled by an operator; ")
    assert await value(site, "SELECT count(*) FROM bulkport.import_chunks WHERE payload IS NOT NULL") == 0
    assert await value(site, "SELECT count(*) FROM bulkport.import_cancellations") == 0
    return job


async def job_ends(site: CommandSite, import_id: int, state: JobState) -> None:
    """The import's own background job reads as the import does."""
    job_id = await value(site, f"SELECT background_job_id FROM bulkport.bulk_import_jobs WHERE id = {import_id}")

    async def has_ended() -> bool:
        return (await site.jobs.get(BackgroundJobId(job_id))).state is state

    await until(has_ended, f"job {job_id} {state}")


async def test_a_waiting_import_is_cancelled_at_once_and_never_starts(site: CommandSite) -> None:
    import_id = await site.send(PLATFORMS)
    assert await cancel(site, import_id) == f"Cancelled import #{import_id}. Rows already imported are kept."
    job = await assert_cancelled(site, import_id)
    assert job["errorSummary"] == "Cancelled by an operator; no row was written before"
    assert await cancel(site, import_id) == f"Import #{import_id} has already finished."
    async with site.worker():
        later = await site.send(PLATFORMS[:3])
        assert (await settled(site.api, later))["successCount"] == 3
        await job_ends(site, import_id, JobState.CANCELLED)
        await job_ends(site, later, JobState.SUCCEEDED)
    assert (await site.status_of(import_id)) == job
    assert await value(site, "SELECT count(*) FROM platforms") == 3
    assert "Cancelled" in await site.page(f"imports/{import_id}")
    audit = await value(
        site, "SELECT array_agg(action || ' ' || target || ' ' || outcome ORDER BY id) FROM bulkport.audit"
    )
    assert audit == [
        f"imports/cancel import {import_id} Cancelled import #{import_id}. Rows already imported are kept.",
        f"imports/cancel import {import_id} Import #{import_id} has already finished.",
    ]


async def test_a_chunk_worker_stops_between_chunks_and_completes_the_import(site: CommandSite) -> None:
    import_id = await site.send(PLATFORMS)
    async with site.worker(chunk_slots=1):
        async with site.held():
            await in_hand(site, import_id)
            assert await cancel(site, import_id) == f"Import #{import_id} stops once its running chunks are done."
            assert (await site.status_of(import_id))["status"] == "Processing"
        job = await assert_cancelled(site, import_id)
        await job_ends(site, import_id, JobState.CANCELLED)
    assert 0 < job["successCount"] < len(PLATFORMS)
    assert job["successCount"] == job["processedRecords"]


async def test_a_strict_import_is_rolled_back_while_it_writes(site: CommandSite) -> None:
    import_id = await site.send(PLATFORMS, prefer=STRICT)
    async with site.worker(chunk_slots=1):
        async with site.held():

            async def is_writing() -> bool:
                return bool(
                    await value(
                        site,
                        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'platforms'::regclass)",
                    )
                )

            await until(is_writing, "the writing of all chunks")
            assert "stops once" in await cancel(site, import_id)
        job = await assert_cancelled(site, import_id)
        await job_ends(site, import_id, JobState.CANCELLED)
    assert job["successCount"] == 0
    assert await value(site, "SELECT count(*) FROM platforms") == 0


async def test_only_imports_in_progress_have_cancel_buttons(site: CommandSite) -> None:
    import_id = await site.send(PLATFORMS)
    assert "do/imports/cancel" in await site.page(f"imports/{import_id}")
    assert "do/imports/cancel" in await site.page("imports")
    await cancel(site, import_id)
    assert "do/imports/cancel" not in await site.page(f"imports/{import_id}")
    assert "do/imports/cancel" not in await site.page("imports")


async def test_a_finished_import_stays_unchanged(site: CommandSite) -> None:
    async with site.worker():
        import_id = await site.send(PLATFORMS[:3])
        job = await settled(site.api, import_id)
    assert await cancel(site, import_id) == f"Import #{import_id} has already finished."
    assert await site.status_of(import_id) == job
    assert "do/imports/cancel" not in await site.page(f"imports/{import_id}")


async def test_cancelling_races_with_the_end_and_one_wins(site: CommandSite) -> None:
    async with site.worker(), await psycopg.AsyncConnection.connect(site.url, autocommit=True) as connection:
        for number in range(12):
            import_id = await site.send(PLATFORMS[:10])
            await asyncio.sleep(0.004 * number)
            effect = await cancelling.cancel_import(connection, ImportId(import_id), CancellationAsker.APPLICATION)
            job = await settled(site.api, import_id)
            was_cancelled = effect is not cancelling.CancelEffect.ALREADY_ENDED
            assert (job["status"] == "Cancelled") is was_cancelled, (effect, job)
    statuses = await value(site, "SELECT sum(success_count) FROM bulkport.bulk_import_jobs")
    assert statuses == await value(site, "SELECT count(*) FROM platforms")
    async with await psycopg.AsyncConnection.connect(site.url, autocommit=True) as connection:
        effect = await cancelling.cancel_import(connection, ImportId(10**9), CancellationAsker.APPLICATION)
        assert effect is cancelling.CancelEffect.UNKNOWN
