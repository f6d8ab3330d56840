"""Continuations, chains, fan-in and batches: dependents run once their parents have ended, or are cancelled."""

from collections.abc import Iterator

import pytest
from conformance_site import ConformanceSite, Home, eventually

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobQuery, JobState, Outcome
from bulkport.jobs.errors import ParentNotFound
from bulkport.jobs.port.details import BatchStatus

ENDINGS = {Outcome.SUCCEEDED: JobState.SUCCEEDED, Outcome.FAILED: JobState.FAILED}


@pytest.fixture(scope="module", autouse=True)
def _server(home: Home) -> Iterator[None]:
    with home.server("only"):
        yield


async def batch_ended(site: ConformanceSite, batch_id: int) -> BatchStatus:
    async def has() -> bool:
        status = await site.jobs.batch_status(batch_id)
        return status is not None and status.finished_at is not None

    await eventually(has, f"end of batch {batch_id}")
    status = await site.jobs.batch_status(batch_id)
    assert status is not None
    return status


async def test_a_continuation_runs_when_its_parent_ends_as_required_and_is_cancelled_otherwise(
    site: ConformanceSite,
) -> None:
    good = await site.jobs.schedule(site.tasks.stumble, 0, in_=0.2)
    bad = await site.jobs.schedule(site.tasks.stumble, 99, in_=0.2)
    children = {
        (parent, on): await site.jobs.continue_with(parent, site.tasks.add.call(1), on=on)
        for parent in (good, bad)
        for on in Outcome
    }
    for child in children.values():
        assert (await site.job(child)).state is JobState.AWAITING
    runs = {(good, Outcome.SUCCEEDED), (good, Outcome.FINISHED), (bad, Outcome.FAILED), (bad, Outcome.FINISHED)}
    for key, child in children.items():
        state = (await site.ended(child)).state
        assert state is (JobState.SUCCEEDED if key in runs else JobState.CANCELLED), key
        assert site.diary.events(child) == (["ran"] if key in runs else [])
    for (parent, _), child in children.items():
        (link,) = (await site.details(child)).parents
        assert link.job_id == parent
        assert child in [link.job_id for link in (await site.details(parent)).children]


@pytest.mark.parametrize("on", list(Outcome))
async def test_a_continuation_of_a_finished_job_is_decided_at_once(site: ConformanceSite, on: Outcome) -> None:
    parent = await site.jobs.enqueue(site.tasks.add, 1)
    await site.succeeds(parent)
    child = await site.jobs.continue_with(parent, site.tasks.add.call(2), on=on)
    expected = JobState.CANCELLED if on is Outcome.FAILED else JobState.SUCCEEDED
    assert (await site.ended(child)).state is expected


async def test_a_chain_runs_in_order_and_stops_at_the_first_failure(site: ConformanceSite) -> None:
    async def chain(first: BackgroundJobId) -> list[BackgroundJobId]:
        links = [first]
        for _ in range(4):
            links.append(await site.jobs.continue_with(links[-1], site.tasks.work.call()))
        return links

    links = await chain(await site.jobs.enqueue(site.tasks.work))
    await site.succeeds(links[-1])
    assert [note.job_id for note in site.diary.notes(*links, event="begun")] == links
    assert site.diary.most_at_once(*links) == 1

    _, *rest = await chain(await site.jobs.schedule(site.tasks.stumble, 99, in_=0.1))
    for job_id in rest:
        assert (await site.ended(job_id)).state is JobState.CANCELLED


async def test_a_fan_in_waits_for_all_parents(site: ConformanceSite) -> None:
    parents = [await site.jobs.enqueue(site.tasks.stay, f"fan {number}") for number in range(3)]
    last = await site.jobs.continue_with(parents, site.tasks.add.call(1))
    for number, parent in enumerate(parents):
        assert (await site.job(last)).state is JobState.AWAITING
        site.diary.open_gate(f"fan {number}")
        await site.succeeds(parent)
    await site.succeeds(last)
    assert site.diary.events(last) == ["ran"]


async def test_a_job_cannot_wait_for_one_that_does_not_exist(site: ConformanceSite) -> None:
    before = await site.jobs.count(JobQuery())
    with pytest.raises(ParentNotFound):
        await site.jobs.continue_with(BackgroundJobId("999999999"), site.tasks.add.call(1))
    assert await site.jobs.count(JobQuery()) == before


async def test_a_cancelled_parent_cancels_children_that_wait_for_its_success(site: ConformanceSite) -> None:
    parent = await site.jobs.schedule(site.tasks.add, 1, in_=3_600)
    child = await site.jobs.continue_with(parent, site.tasks.add.call(1))
    after = await site.jobs.continue_with(parent, site.tasks.add.call(1), on="finished")
    await site.jobs.cancel(parent)
    assert (await site.ended(child)).state is JobState.CANCELLED
    await site.succeeds(after)


async def test_a_batch_reports_its_progress_and_finishes_once(site: ConformanceSite) -> None:
    async with site.jobs.batch("sums", user_id="ada") as batch:
        for number in range(300):
            batch.add(site.tasks.add, number)
        batch.add(site.tasks.stay.call("batch"))
        batch.then(site.tasks.add.call(1))
        batch.then(site.tasks.add.call(2), on="failed")
        batch.then(site.tasks.add.call(3), on="finished")
    assert len(batch) == 301

    async def are_done_but_one() -> bool:
        status = await site.jobs.batch_status(batch.id)
        return status is not None and status.finished_jobs == 300

    await eventually(are_done_but_one, "progress of the batch")
    status = await site.jobs.batch_status(batch.id)
    assert status is not None
    assert (status.description, status.user_id, status.jobs, status.finished_at) == ("sums", "ada", 301, None)
    continuations = await waiting_continuations(site)
    assert len(continuations) == 3
    site.diary.open_gate("batch")
    status = await batch_ended(site, batch.id)
    assert status.states == {JobState.SUCCEEDED: 301}
    states = {job_id: (await site.ended(job_id)).state for job_id in continuations}
    assert list(states.values()) == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUCCEEDED]
    assert site.diary.events(*continuations) == ["ran", "ran"]


async def waiting_continuations(site: ConformanceSite) -> list[BackgroundJobId]:
    page = await site.jobs.search(JobQuery(states={JobState.AWAITING}, descending=False))
    return [job.id for job in page.items]


async def test_a_batch_with_a_failed_job_starts_continuations_on_failure(site: ConformanceSite) -> None:
    async with site.jobs.batch() as batch:
        batch.add(site.tasks.add, 1)
        batch.add(site.tasks.stumble.call(99))
        batch.then(site.tasks.work.call(), on="succeeded")
        batch.then(site.tasks.shout.call("failed"), on="failed")
    await batch_ended(site, batch.id)
    page = await site.jobs.search(JobQuery(task="shout"))
    (job,) = page.items
    await site.succeeds(job.id)


async def test_an_empty_batch_finishes_at_once_and_one_whose_block_raises_does_not_exist(site: ConformanceSite) -> None:
    async with site.jobs.batch("empty") as batch:
        pass
    assert (await batch_ended(site, batch.id)).jobs == 0
    before = await site.jobs.count(JobQuery())

    async def fails() -> None:
        async with site.jobs.batch() as broken:
            broken.add(site.tasks.add, 1)
            raise LookupError

    with pytest.raises(LookupError):
        await fails()
    assert await site.jobs.count(JobQuery()) == before
