"""Transactions of callers that stay open: they delay what they are about, and nothing else."""

import asyncio
from datetime import timedelta

import psycopg
from engine_site import HASTY, EngineSite, eventually
from flow_steps import enqueue, note

from bulkport.jobs import JobState
from bulkport.jobs.port import NewJob
from bulkport.jobs.port.metrics import ServerCommand


async def test_an_open_command_transaction_does_not_stop_a_servers_heartbeat(site: EngineSite) -> None:
    async with (
        site.process("one", **HASTY),
        await psycopg.AsyncConnection.connect(site.url) as stranger,
    ):
        assert await site.engine.control.command_server("one", ServerCommand.QUIET, connection=stranger)
        began = await site.value("SELECT clock_timestamp()")

        async def has_gone_on() -> bool:
            beat = await site.value("SELECT max(last_heartbeat) FROM bulkport.servers WHERE name = 'one'")
            return bool(beat > began + timedelta(seconds=1))

        await eventually(has_gone_on, "heartbeats beside an open command")
        # Nobody has heard of the command yet.
        (job_id,) = await enqueue(site, note())
        await site.reaches(job_id, JobState.SUCCEEDED)
        await stranger.commit()

        async def is_quiet() -> bool:
            return bool(await site.value("SELECT count(*) FROM bulkport.server_commands WHERE wanted = 'quiet'"))

        await eventually(is_quiet, "the command")
        assert await site.value("SELECT count(*) FROM bulkport.lost_servers") == 0


async def test_a_new_queue_accepts_jobs_during_an_open_pause_transaction(site: EngineSite) -> None:
    control = site.engine.control
    for number, act in enumerate(
        (
            lambda name, connection: control.pause_queue(name, connection=connection),
            lambda name, connection: control.limit_queue(name, 1, connection=connection),
            lambda name, connection: control.weigh_queue(name, 2, connection=connection),
        )
    ):
        async with await psycopg.AsyncConnection.connect(site.url) as stranger:
            await act(f"new {number}", stranger)
            await site.connection.execute("SET statement_timeout = '10s'")
            await enqueue(site, note(queue=f"new {number}"))
            await enqueue(site, note(queue=f"new {number}"), note(queue=f"new {number}"))


async def test_an_outcome_delayed_by_a_lock_is_written_while_others_keep_ending(site: EngineSite) -> None:
    async with await psycopg.AsyncConnection.connect(site.url) as stranger, site.worker():
        held = await site.enqueue("wait", gate="gate")
        await site.happens("begun", held)
        await stranger.execute("SELECT FROM bulkport.jobs WHERE job_id = %s FOR UPDATE", (int(held),))
        await site.open_gate()
        await site.happens("ended", held)
        async with asyncio.timeout(60):
            while (await site.job(held)).state is not JobState.SUCCEEDED:
                others = await site.engine.enqueue_many(site.connection, [NewJob("note", {})] * 5)
                await site.reaches(others[-1].id, JobState.SUCCEEDED)
                await stranger.commit()
