"""Search, paging, statistics and retention of jobs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from conformance_site import ConformanceSite, Home, ServerProcess, eventually

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import Granularity, JobQuery, JobSort, JobState
from bulkport.jobs.errors import InvalidCursor, InvalidJobQuery


@pytest.fixture(scope="module", autouse=True)
def server(home: Home) -> Iterator[ServerProcess]:
    with home.server("only") as process:
        yield process


async def found(site: ConformanceSite, query: JobQuery, limit: int = 500) -> list[BackgroundJobId]:
    """All jobs of a query, page by page."""
    ids: list[BackgroundJobId] = []
    cursor = None
    while True:
        page = await site.jobs.search(query, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        ids += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids


async def run_all(site: ConformanceSite, user: str) -> dict[str, list[BackgroundJobId]]:
    """Jobs of several kinds, that have ended or wait."""
    add, refuse = site.tasks.add.options(user_id=user), site.tasks.refuse.options(user_id=user)
    jobs = {
        "good": [await site.jobs.enqueue(add.options(queue=f"{user} queue").call(number)) for number in range(5)],
        "bad": [await site.jobs.enqueue(refuse.call(how)) for how in ("KeyError", "FinalError", "FinalError")],
        "scheduled": [await site.jobs.schedule(add.call(77), in_=3_600) for _ in range(2)],
    }
    await site.all_ended(jobs["good"] + jobs["bad"])
    jobs["cancelled"] = [await site.jobs.schedule(add.call(88), in_=3_600)]
    await site.jobs.cancel(jobs["cancelled"][0])
    return jobs


async def test_a_query_filters_by_state_task_queue_user_text_error_and_time(site: ConformanceSite) -> None:
    before = datetime.now(UTC)
    jobs = await run_all(site, "finder")
    everything = sorted((job_id for ids in jobs.values() for job_id in ids), key=int)

    async def finds(*wanted: str, **query: object) -> None:
        expected = sorted((job_id for name in wanted for job_id in jobs[name]), key=int)
        ids = await found(site, JobQuery(user_id="finder", descending=False, **query))  # type: ignore[arg-type]
        assert ids == expected, query

    assert await found(site, JobQuery(user_id="finder", descending=False)) == everything
    assert await found(site, JobQuery(user_id="finder")) == everything[::-1]
    await finds("good", states={JobState.SUCCEEDED})
    await finds("bad", "cancelled", states={JobState.FAILED, JobState.CANCELLED})
    await finds("scheduled", states={JobState.SCHEDULED})
    await finds("bad", task="refuse")
    await finds("good", queue="finder queue")
    await finds("scheduled", text='"A": 77')
    await finds(text='"A": 7')
    await finds("cancelled", text='"a": 88')
    await finds(text='"a": 8')
    await finds("bad", text="NO USE")
    await finds("scheduled", "good", states={JobState.SCHEDULED, JobState.SUCCEEDED}, created_since=before)
    await finds(created_until=before)
    await finds("good", "bad", "cancelled", finished_since=before)
    await finds(finished_until=before)
    assert await found(site, JobQuery(user_id="finder", error_type="KeyError")) == [jobs["bad"][0]]
    assert (await site.jobs.count(JobQuery(user_id="finder"), most=4)).is_more


async def test_results_from_one_snapshot_agree_whatever_happens_meanwhile(site: ConformanceSite) -> None:
    mine = JobQuery(user_id="momentary")
    call = site.tasks.add.options(user_id="momentary", queue="momentary").call(1)
    first = await site.jobs.schedule(call, in_=3_600)
    async with site.jobs.reader.at_one_moment() as moment:
        before = await moment.statistics()
        second = await site.jobs.schedule(call, in_=3_600)
        await site.jobs.cancel(first)

        assert [job.state for job in (await moment.search(mine)).items] == [JobState.SCHEDULED]
        assert [queue.scheduled for queue in await moment.queues() if queue.name == "momentary"] == [1]
        assert (await moment.statistics()).states == before.states
        details = await moment.details(first)
        assert details is not None
        assert details.job.state is JobState.SCHEDULED
        assert await moment.details(second) is None

    states = {job.id: job.state for job in (await site.jobs.search(mine)).items}
    assert states == {first: JobState.CANCELLED, second: JobState.SCHEDULED}


SORTED_BY = {
    JobSort.CREATED: "created_at",
    JobSort.FINISHED: "finished_at",
    JobSort.DURATION: "duration_seconds",
    JobSort.DUE: "due_at",
}


@pytest.mark.parametrize("sort", list(JobSort))
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_in_any_order_contain_each_job_once_and_link_both_ways(
    site: ConformanceSite, sort: JobSort, descending: bool
) -> None:
    user = f"pages {sort} {descending}"
    if sort is JobSort.DUE:
        task = site.tasks.add.options(user_id=user)
        ids = [await site.jobs.schedule(task.call(1), in_=3_600 + number * 7 % 23) for number in range(23)]
    else:
        calls = [site.tasks.work.options(user_id=user).call(0.001 * (number % 5)) for number in range(23)]
        ids = [job.id for job in await site.jobs.enqueue_many(calls)]
        await site.all_ended(ids)
    query = JobQuery(user_id=user, sort=sort, descending=descending)
    pages = [await site.jobs.search(query, limit=5)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(await site.jobs.search(query, cursor=cursor, limit=5))
    jobs = [job for page in pages for job in page.items]
    assert sorted(job.id for job in jobs) == sorted(ids)
    keys = [getattr(job, SORTED_BY[sort]) for job in jobs]
    if sort is JobSort.DURATION:
        keys = [None if key is None else int(round(key * 1e6) // 1000) for key in keys]  # by whole milliseconds
    for first, second in pairwise(keys):
        assert first is not None
        assert second is not None
        assert first >= second if descending else first <= second
    assert pages[0].previous_cursor is None
    back = await site.jobs.search(query, cursor=pages[1].previous_cursor, limit=5)
    assert back.items == pages[0].items


async def test_scheduled_jobs_are_listed_next_first(site: ConformanceSite) -> None:
    task = site.tasks.add.options(user_id="due")
    late, soon, later = [await site.jobs.schedule(task.call(1), in_=seconds) for seconds in (7_200, 1_800, 9_000)]
    waits_for_no_time = await site.jobs.continue_with([late], task.call(1))
    retried = await site.jobs.enqueue(site.tasks.fall.options(user_id="due"))

    async def waits() -> bool:
        details = await site.jobs.details(retried)
        return details is not None and details.job.state is JobState.RETRYING

    await eventually(waits, "the wait for the next attempt")
    query = JobQuery(user_id="due", sort=JobSort.DUE, descending=False)
    assert await found(site, query) == [soon, retried, late, later]
    await site.jobs.reschedule(soon, in_=8_000)
    await site.jobs.run_now(late)
    await site.succeeds(late)
    assert await found(site, query) == [retried, soon, later]
    assert waits_for_no_time not in await found(site, query)
    assert await found(site, JobQuery(user_id="due", sort=JobSort.DUE, states={JobState.SUCCEEDED})) == []


async def test_paging_is_not_disturbed_by_new_jobs(site: ConformanceSite) -> None:
    task = site.tasks.add.options(user_id="walk")
    ids = [job.id for job in await site.jobs.enqueue_many([task.call(number) for number in range(10)])]
    await site.all_ended(ids)
    query = JobQuery(user_id="walk")
    first = await site.jobs.search(query, limit=6)
    await site.jobs.enqueue_many([task.call(number) for number in range(7)])
    rest = await site.jobs.search(query, cursor=first.next_cursor, limit=6)
    assert [job.id for job in (*first.items, *rest.items)] == ids[::-1]


async def test_invalid_queries_are_rejected(site: ConformanceSite) -> None:
    with pytest.raises(InvalidJobQuery):
        JobQuery(created_since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(InvalidJobQuery):
        JobQuery(text="a\0b")
    with pytest.raises(InvalidJobQuery):
        await site.jobs.search(JobQuery(), limit=0)
    for cursor in ("nonsense", "", "e30"):
        with pytest.raises(InvalidCursor):
            await site.jobs.search(JobQuery(), cursor=cursor)


async def test_statistics_match_the_jobs_that_ran(site: ConformanceSite) -> None:
    async def is_quiet() -> bool:
        return not (await site.jobs.count(JobQuery(states={JobState.ENQUEUED, JobState.PROCESSING}))).jobs

    await eventually(is_quiet, "end of what other tests began")
    since = datetime.now(UTC)
    before = await site.jobs.statistics()
    jobs = await run_all(site, "numbers")
    retried = [await site.jobs.enqueue(site.tasks.stumble, 2)]
    await site.all_ended(retried)
    after = await site.jobs.statistics()
    # They are exact at once, whatever has been rolled up.
    grown = {state: after.states[state] - before.states[state] for state in JobState}
    assert grown == {
        JobState.SUCCEEDED: 6,
        JobState.FAILED: 3,
        JobState.CANCELLED: 1,
        JobState.SCHEDULED: 2,
        JobState.ENQUEUED: 0,
        JobState.PROCESSING: 0,
        JobState.AWAITING: 0,
        JobState.RETRYING: 0,
    }
    totals = [
        (name, getattr(after.totals, name) - getattr(before.totals, name))
        for name in ("succeeded", "failed", "retried", "cancelled", "enqueued")
    ]
    assert totals == [("succeeded", 6), ("failed", 3), ("retried", 2), ("cancelled", 1), ("enqueued", 12)]
    for state in JobState:
        counted = await site.jobs.count(JobQuery(states={state}))
        assert counted.jobs == after.states[state], state
    assert (after.servers, after.silent_servers) == (1, 0)

    for granularity in Granularity:

        async def is_summed(granularity: Granularity = granularity) -> bool:
            points = await site.jobs.series(granularity, since, task="refuse", percentiles=True)
            assert all(right.starts_at - left.starts_at == granularity.step for left, right in pairwise(points))
            in_time = sum(point.totals.failed for point in points) >= 3
            return in_time and any(point.duration is not None and point.latency is not None for point in points)

        await eventually(is_summed, f"a series by {granularity}")
    (task,) = [task for task in await site.jobs.task_statistics(timedelta(hours=1)) if task.task == "stumble"]
    assert (task.totals.succeeded, task.totals.retried, task.unfinished) == (1, 2, 0)
    (queue,) = [queue for queue in await site.jobs.queues() if queue.name == "numbers queue"]
    assert (queue.waiting, queue.running, queue.servers) == (0, 0, 1)
    assert len(jobs["good"]) == 5


async def test_percentiles_report_task_durations(site: ConformanceSite) -> None:
    ids = [job.id for job in await site.jobs.enqueue_many([site.tasks.stay.call("took")] * 3)]
    await site.happens("begun", *ids, times=3)
    begun = max(note.at for note in site.diary.notes(*ids))
    site.diary.open_gate("took")
    await site.all_ended(ids)
    longest = max(note.at for note in site.diary.notes(*ids)) - min(note.at for note in site.diary.notes(*ids))
    shortest = min(note.at for note in site.diary.notes(*ids, event="ended")) - begun

    async def is_told() -> bool:
        (task,) = [task for task in await site.jobs.task_statistics(timedelta(hours=1)) if task.task == "stay"]
        return task.duration is not None and shortest / 1.3 <= task.duration.p50 <= (longest + 0.5) * 1.3

    await eventually(is_told, "percentiles")


async def test_retention_prunes_by_state_and_age_but_nothing_that_others_wait_for(site: ConformanceSite) -> None:
    jobs = await run_all(site, "old")
    parent = await site.jobs.enqueue(site.tasks.add.options(user_id="old").call(1))
    await site.succeeds(parent)
    waits = await site.jobs.schedule(site.tasks.add, 1, in_=3_600)
    child = await site.jobs.continue_with([parent, waits], site.tasks.add.options(user_id="old").call(2))
    async with site.jobs.batch("unfinished") as batch:
        batch.add(site.tasks.add.options(user_id="old").call(3))
        batch.add(site.tasks.stay.options(user_id="old").call("old"))

    async def is_half_done() -> bool:
        status = await site.jobs.batch_status(batch.id)
        return status is not None and status.finished_jobs == 1

    await eventually(is_half_done, "half of the batch")
    before = await site.jobs.statistics()
    with site.server("pruning", retention_seconds=0):

        async def are_gone() -> bool:
            return not await found(site, JobQuery(user_id="old", queue="old queue"))

        await eventually(are_gone, "the end of old jobs")

        async def is_cancelled_one_gone() -> bool:
            return await site.jobs.get(jobs["cancelled"][0]) is None

        await eventually(is_cancelled_one_gone, "the end of cancelled jobs")
    kept = await found(site, JobQuery(user_id="old"))
    assert set(kept) >= {*jobs["bad"], *jobs["scheduled"], child}
    for job_id in jobs["good"]:
        assert await site.jobs.get(job_id) is None
        assert await site.jobs.details(job_id) is None
    status = await site.jobs.batch_status(batch.id)
    assert status is not None
    assert status.jobs == 2
    after = await site.jobs.statistics()
    assert after.totals.succeeded >= before.totals.succeeded
    assert after.states[JobState.SUCCEEDED] < before.states[JobState.SUCCEEDED]
    assert (await site.jobs.count(JobQuery(states={JobState.SUCCEEDED}))).jobs == after.states[JobState.SUCCEEDED]
    site.diary.open_gate("old")
    await site.jobs.run_now(waits)
    await site.succeeds(child)
