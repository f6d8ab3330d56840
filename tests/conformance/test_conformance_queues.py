"""Queues, priorities, pauses, limits by queue and by key, unique keys: on two servers together."""

import asyncio
from collections.abc import Iterator

import pytest
from conformance_site import ConformanceSite, Home

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobCall, JobQuery, JobState
from bulkport.jobs.errors import JobAlreadyQueued
from bulkport.jobs.task import OptionChanges


@pytest.fixture(scope="module", autouse=True)
def _servers(home: Home) -> Iterator[None]:
    with home.server("one", concurrency=8), home.server("two", concurrency=8):
        yield


async def enqueued(site: ConformanceSite, calls: list[JobCall]) -> list[BackgroundJobId]:
    return [job.id for job in await site.jobs.enqueue_many(calls)]


async def test_a_server_serves_only_its_queues(site: ConformanceSite) -> None:
    await site.serving("one", "two")
    for queue in ("a", "b", "c"):
        await site.jobs.pause_queue(queue)
    calls = [site.tasks.work.options(queue=queue).call() for queue in ("a", "b", "c") * 5]
    # The two others are kept busy until a third server has had its share.
    busy = await enqueued(site, [site.tasks.stay.options(queue="busy").call("busy")] * 16)
    await site.happens("begun", *busy, times=16)
    ids = await enqueued(site, calls)
    with site.server("three", queues=["a", "b"]):
        await site.serving("three")
        (server,) = [server for server in await site.jobs.servers() if server.name == "three"]
        assert server.queues == ("a", "b")
        for queue in ("a", "b", "c"):
            await site.jobs.resume_queue(queue)
        await site.happens("ended", *ids, times=10)
        for job_id, call in zip(ids, calls, strict=True):
            servers = {note.server for note in site.diary.notes(job_id)}
            assert servers == (set() if call.options.queue == "c" else {"three"})
        site.diary.open_gate("busy")
        await site.all_ended([*ids, *busy])


async def test_jobs_start_by_priority_and_then_in_order(site: ConformanceSite) -> None:
    await site.jobs.pause_queue("ranks")
    await site.jobs.limit_queue("ranks", 1)
    ranks = [0, 5, -3, 5, 0, 9]
    ids = await enqueued(site, [site.tasks.work.options(queue="ranks", priority=rank).call() for rank in ranks])
    await site.jobs.resume_queue("ranks")
    await site.all_ended(ids)
    by_rank = [ids[number] for number in (5, 1, 3, 0, 4, 2)]
    assert [note.job_id for note in site.diary.notes(*ids, event="begun")] == by_rank


async def test_a_paused_queue_starts_no_jobs_and_running_jobs_finish(site: ConformanceSite) -> None:
    running = await site.jobs.enqueue(site.tasks.stay.options(queue="pausing").call("paused"))
    await site.happens("begun", running)
    await site.jobs.pause_queue("pausing", actor="ada")
    (status,) = [queue for queue in await site.jobs.queues() if queue.name == "pausing"]
    assert status.paused_by == "ada"
    waiting = await site.jobs.enqueue(site.tasks.work.options(queue="pausing", priority=9).call())
    site.diary.open_gate("paused")
    await site.succeeds(running)
    await site.all_ended(await enqueued(site, [site.tasks.work.call()] * 20))
    assert (await site.job(waiting)).state is JobState.ENQUEUED
    await site.jobs.resume_queue("pausing")
    await site.succeeds(waiting)


async def test_the_limit_of_a_queue_is_never_exceeded(site: ConformanceSite) -> None:
    await site.serving("one", "two")
    await site.jobs.limit_queue("narrow", 3)
    staying = await enqueued(site, [site.tasks.stay.options(queue="narrow", priority=1).call("narrow")] * 4)
    await site.happens("begun", *staying, times=3)
    seconds = [0.01 + 0.005 * (number % 4) for number in range(40)]
    ids = await enqueued(site, [site.tasks.work.options(queue="narrow").call(each) for each in seconds])
    site.diary.open_gate("narrow")
    await site.all_ended([*staying, *ids])
    assert site.diary.most_at_once(*staying, *ids) == 3
    assert len(site.diary.notes(*ids, event="begun")) == 40


async def test_the_limit_of_a_concurrency_key_is_never_exceeded_and_other_keys_do_not_wait(
    site: ConformanceSite,
) -> None:
    def calls(user: str, count: int, limit: int) -> list[JobCall]:
        task = site.tasks.work.options(concurrency_key=user, concurrency_limit=limit)
        return [task.call(0.02) for _ in range(count)]

    stay = site.tasks.stay.options(concurrency_key="user-ada", concurrency_limit=2)
    ada = await enqueued(site, [stay.call("keys")] * 3)
    await site.happens("begun", *ada, times=2)
    ada += await enqueued(site, calls("user-ada", 30, 2))
    # Those of the other key start and end while the first one's are held up.
    alan = await enqueued(site, calls("user-alan", 5, 1))
    await site.all_ended(alan)
    assert len(site.diary.notes(*ada)) == 2
    site.diary.open_gate("keys")
    await site.all_ended(ada)
    assert site.diary.most_at_once(*ada) == 2
    assert site.diary.most_at_once(*alan) == 1
    assert len(site.diary.notes(*ada, *alan, event="begun")) == 38


async def test_mutual_exclusion_holds_across_tasks_queues_and_failures(site: ConformanceSite) -> None:
    site.diary.open_gate("ledger")
    ids = []
    for number in range(6):
        options: OptionChanges = {"concurrency_key": "ledger", "queue": f"exclusive {number % 2}"}
        ids += [
            await site.jobs.enqueue(site.tasks.work.options(**options).call(0.02)),
            await site.jobs.enqueue(site.tasks.stay_in_thread.options(**options).call("ledger")),
            await site.jobs.enqueue(site.tasks.stumble.options(**options).call(1)),
        ]
    for job in await site.all_ended(ids):
        assert job.state is JobState.SUCCEEDED
    assert site.diary.most_at_once(*ids) == 1
    assert len(site.diary.notes(*ids, event="ended")) == 12


async def test_a_cancelled_job_frees_its_slot(site: ConformanceSite) -> None:
    task = site.tasks.stay.options(concurrency_key="places")
    first = await site.jobs.enqueue(task.call("never"))
    await site.happens("begun", first)
    second, third = await enqueued(site, [task.call("places"), task.call("places")])
    assert (await site.details(second)).job.is_held_back
    await site.jobs.cancel(second)
    await site.jobs.cancel(first)
    site.diary.open_gate("places")
    await site.succeeds(third)
    assert site.diary.events(second) == []


async def test_one_job_of_a_unique_key_waits_even_while_another_runs(site: ConformanceSite) -> None:
    task = site.tasks.stay.options(unique_key="report-7")
    first = await site.jobs.enqueue(task.call("unique"))
    await site.happens("begun", first)
    second = await site.jobs.schedule(task.call("unique"), in_=3_600)
    for attempt in (site.jobs.enqueue(task.call("unique")), site.jobs.schedule(task.call("unique"), in_=1)):
        with pytest.raises(JobAlreadyQueued) as refused:
            await attempt
        assert refused.value.job_id == second
    (again,) = await site.jobs.enqueue_many([task.call("unique")])
    assert (again.id, again.is_new) == (second, False)

    # The caller's transaction goes on after a refusal.
    async with site.connection.transaction():
        with pytest.raises(JobAlreadyQueued):
            await site.jobs.enqueue(task.call("unique"), connection=site.connection)
        other = await site.jobs.enqueue(site.tasks.add.call(1), connection=site.connection)
    await site.succeeds(other)

    await site.jobs.cancel(second)
    third = await site.jobs.enqueue(task.call("unique"))
    site.diary.open_gate("unique")
    await site.all_ended([first, third])
    assert site.diary.events(second) == []


async def test_one_of_many_jobs_that_race_for_a_unique_key_wins(site: ConformanceSite) -> None:
    await site.jobs.pause_queue("races")
    task = site.tasks.work.options(unique_key="race", queue="races")

    async def race() -> bool:
        return (await site.jobs.enqueue_many([task.call()]))[0].is_new

    assert sum(await asyncio.gather(*(race() for _ in range(20)))) == 1
    assert (await site.jobs.count(JobQuery(queue="races"))).jobs == 1
    await site.jobs.resume_queue("races")
