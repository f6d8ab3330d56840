"""An import whose background job is lost is requeued once and neither loses nor duplicates rows."""

import asyncio

import pytest
from command_processes import Site, until
from followed_import import FollowedImport
from held_imports import held_back
from import_bodies import platforms

from bulkport.imports.worker.watchdog import Watchdog
from bulkport.jobs.postgres import PostgresEngine
from bulkport.pools import open_pool

pytestmark = pytest.mark.chaos

LOSSES = {
    "deleted": "DELETE FROM bulkport.jobs",
    "cancelled": "SELECT bulkport.move_finished(array_agg(job_id), 'cancelled', now()) FROM bulkport.jobs",
    "failed": "SELECT bulkport.move_finished(array_agg(job_id), 'failed', now()) FROM bulkport.jobs",
    "ended": "SELECT bulkport.move_finished(array_agg(job_id), 'succeeded', now()) FROM bulkport.jobs",
}


async def look(site: Site, *, watchdogs: int = 1) -> list[int]:
    """Have watchdogs look once, all at the same time."""
    async with open_pool(site.database_url, name="watchdogs", most=watchdogs) as pool:
        dogs = [Watchdog(pool, PostgresEngine(pool)) for _ in range(watchdogs)]
        return sorted(await asyncio.gather(*(dog.look(grace_seconds=0) for dog in dogs)))


async def test_a_lost_background_job_is_replaced_once(site: Site) -> None:
    jobs: dict[str, FollowedImport] = {}
    with site.client(site.start_server(chunk_bytes=10_000)) as client:
        for loss, statement in LOSSES.items():
            job = FollowedImport.send(client, platforms(500, chance=site.chance, bad_share=0.01, prefix=loss[0:3]))
            lost_id = job.look()["hangfireJobId"]
            assert await look(site) == [0], loss
            site.rows(statement)
            # The background jobs of the imports before were queued anew, and are lost once more.
            jobs[loss] = job
            assert sum(await look(site, watchdogs=4)) == len(jobs), loss
            assert await look(site) == [0], loss
            assert job.look()["hangfireJobId"] != lost_id, loss
        site.start_worker()
        for job in jobs.values():
            job.until_settled()
            assert job.last["successCount"] == len(job.body.good)
            job.assert_reported()
        wanted = sorted(name for job in jobs.values() for name in job.body.good)
        assert sorted(name for (name,) in site.rows("SELECT platform_name FROM platforms")) == wanted
        assert await look(site) == [0]
        state = "SELECT state FROM bulkport.all_jobs WHERE job_id = %s::bigint"
        for job in jobs.values():
            new_id = job.last["hangfireJobId"]
            until(lambda new_id=new_id: site.value(state, new_id) == "succeeded", "the new job to succeed")  # type: ignore[misc]


async def test_deleting_a_running_background_job_duplicates_nothing(site: Site) -> None:
    body = platforms(30_000, chance=site.chance, bad_share=0.01)
    site.wait_for_workers(site.start_worker(), site.start_worker())
    with site.client(site.start_server(chunk_bytes=20_000)) as client:
        with held_back(site):
            job = FollowedImport.send(client, body)
            job.until(lambda now: now["processedRecords"] > 10_000)
            site.rows("DELETE FROM bulkport.jobs")
        # A job row that a worker holds is left alone; with luck the watchdog comes between two chunks.
        while not job.look()["completedAt"] and await look(site) == [0]:
            pass
        job.until_settled()
        job.assert_exact(site)
        assert site.value("SELECT max(id) FROM platforms") == len(body.good)


def test_a_worker_finds_lost_background_jobs_by_itself(site: Site) -> None:
    body = platforms(2_000, chance=site.chance, bad_share=0.01)
    with site.client(site.start_server(chunk_bytes=10_000)) as client:
        job = FollowedImport.send(client, body)
        site.rows("DELETE FROM bulkport.jobs")
        site.rows("UPDATE bulkport.bulk_import_jobs SET created_at = created_at - interval '1 minute'")
        site.start_worker()
        job.until_settled()
        job.assert_exact(site)
