"""Control commands on jobs in every state: outcomes and history."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from engine_site import EngineSite
from flow_steps import be_consistent, become, enqueue, gated, give, job, note, reasons, states

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobState
from bulkport.jobs.port.control import (
    Cancel,
    Change,
    Delete,
    Effect,
    Order,
    OrderSummary,
    Requeue,
    Reschedule,
    RunNow,
)
from bulkport.jobs.port.queueing import Outcome, Parent
from bulkport.jobs.postgres.control import JobController

STATES = ("enqueued", "parked", "scheduled", "awaiting", "running", "succeeded", "failed", "cancelled")


async def one_of_each(site: EngineSite) -> dict[str, BackgroundJobId]:
    """Jobs in `STATES`; the caller runs a worker that serves the queue 'default'."""
    (holder,) = await enqueue(site, gated(concurrency_key="k"))
    await become(site, [holder], "running")
    enqueued, parked, scheduled, running, succeeded, failed, cancelled = await enqueue(
        site,
        note("idle", queue="idle"),
        note("parked", concurrency_key="k"),
        note("scheduled", delay=3600),
        gated(),
        note("succeeded"),
        job("fail", {"times": 99}),
        note("cancelled", queue="idle"),
    )
    (awaiting,) = await enqueue(site, note("awaiting", parents=(Parent(running, on=Outcome.FINISHED),)))
    await give(site, Cancel(), cancelled)
    ids = (enqueued, parked, scheduled, awaiting, running, succeeded, failed, cancelled)
    jobs = dict(zip(STATES, ids, strict=True))
    await become(site, jobs.values(), *STATES)
    return jobs


ENDED = ["already ended"] * 3
WAITING = ["already waiting"] * 2
EFFECTS: list[tuple[Order, list[str]]] = [
    (Cancel(), ["cancelled"] * 4 + ["asked to stop"] + ENDED),
    (Delete(), ["deleted"] * 4 + ["asked to stop", "deleted", "deleted", "already deleted"]),
    (Requeue(), ["already waiting"] * 4 + ["already running", "repeated", "requeued", "requeued"]),
    (RunNow(), [*WAITING, "released", "waits for other jobs", "already running", *ENDED]),
    (Reschedule(delay=7200), ["rescheduled"] * 3 + ["waits for other jobs", "already running", *ENDED]),
    (Change(priority=7, queue="other"), ["changed"] * 4 + ["already running", *ENDED]),
]
"""By the order of `STATES`."""


@pytest.mark.parametrize(("order", "effects"), EFFECTS, ids=[type(order).__name__ for order, _ in EFFECTS])
async def test_each_command_does_to_each_state_what_it_can(site: EngineSite, order: Order, effects: list[str]) -> None:
    async with site.worker(queues=["default"]):
        jobs = await one_of_each(site)
        assert [str(effect) for effect in await give(site, order, *jobs.values())] == effects
        await be_consistent(site)
        await site.open_gate()
        await site.happens("cancelled" if isinstance(order, Cancel | Delete) else "ended", jobs["running"])
    await be_consistent(site)


@pytest.mark.parametrize("order", [Cancel(), Delete(), RunNow(), Change(priority=7, queue="other"), Requeue()])
async def test_a_repeated_command_finds_its_work_done(site: EngineSite, order: Order) -> None:
    async with site.worker(queues=["default"]):
        jobs = await one_of_each(site)
        del jobs["succeeded"]  # each order to run it again makes a new job
        await site.connection.execute("SELECT bulkport.pause_queue('default', NULL)")
        await give(site, order, *jobs.values())
        if isinstance(order, Cancel | Delete):
            # What runs takes a moment to stop.
            await become(site, [jobs["running"]], "cancelled")
        before = await states(site, jobs.values())
        history = await site.value("SELECT count(*) FROM bulkport.job_history")
        effects = await give(site, order, *jobs.values())
        assert [effect for effect in effects if effect.is_done and not isinstance(order, Change)] == []
        assert await states(site, jobs.values()) == before
        assert await site.value("SELECT count(*) FROM bulkport.job_history") == history
        await site.open_gate()
    await be_consistent(site)


async def test_an_impossible_job_id_is_unknown(site: EngineSite) -> None:
    strange = [BackgroundJobId(text) for text in ("4711", "0", "-1", "x", "", "٣", "9" * 30)]
    for order in (Cancel(), Delete(), Requeue(), RunNow(), Reschedule(delay=1), Change(priority=1)):
        assert set(await give(site, order, *strange)) == {Effect.UNKNOWN}


async def test_history_records_who_gave_a_command_and_why(site: EngineSite) -> None:
    (job_id,) = await enqueue(site, note())
    for order in (
        Reschedule(delay=60, reason="not yet", actor="ada"),
        Change(priority=2, queue="slow", reason="too slow", actor="bob"),
        RunNow(actor="ada"),
        Cancel(reason="no need", actor="eve"),
        Requeue(actor="ada"),
        Delete(actor="eve"),
    ):
        await give(site, order, job_id)
    assert await reasons(site, job_id) == [
        ("scheduled", "not yet", "ada"),
        ("scheduled", "priority 2, was 0, queue slow, was default, too slow", "bob"),
        ("enqueued", "to run now", "ada"),
        ("cancelled", "no need", "eve"),
        ("enqueued", "requeued", "ada"),
        ("cancelled", "deleted", "eve"),
    ]
    await be_consistent(site)


async def test_a_requeued_job_gets_all_its_attempts_again(site: EngineSite) -> None:
    async with site.worker():
        (job_id,) = await enqueue(site, job("fail", {"times": 99}))
        await become(site, [job_id], "failed")
        assert await give(site, Requeue(), job_id) == [Effect.REQUEUED]
        await site.happens("tried", job_id, times=6)
        await become(site, [job_id], "failed")
    assert await site.value("SELECT max(run) FROM bulkport.job_runs WHERE job_id = %s", int(job_id)) == 6
    await be_consistent(site)


async def test_a_succeeded_job_is_copied(site: EngineSite) -> None:
    async with site.worker():
        (job_id,) = await enqueue(site, note("once more", user_id="ada", priority=3, concurrency_key="k"))
        await site.reaches(job_id, JobState.SUCCEEDED)
        (result,) = await JobController().order(Requeue(actor="eve"), [job_id], site.connection)
        assert result.effect is Effect.REPEATED
        assert result.new_job_id is not None
        await site.reaches(result.new_job_id, JobState.SUCCEEDED)
    assert await reasons(site, job_id) == [("succeeded", f"queued again as job {result.new_job_id}", "eve")]
    assert await reasons(site, result.new_job_id) == [("enqueued", f"repeats job {job_id}", "eve")]
    kinds = "SELECT count(DISTINCT (task, queue, priority, args, user_id, concurrency_key)) FROM bulkport.all_jobs"
    assert await site.value(kinds) == 1
    assert await site.value("SELECT origin_id FROM bulkport.all_jobs WHERE origin_id IS NOT NULL") == int(job_id)
    await be_consistent(site)


async def test_a_deleted_job_that_had_succeeded_is_copied(site: EngineSite) -> None:
    async with site.worker():
        (job_id,) = await enqueue(site, note())
        await site.reaches(job_id, JobState.SUCCEEDED)
        assert await give(site, Delete(), job_id) == [Effect.DELETED]
        assert await give(site, Requeue(), job_id) == [Effect.REPEATED]
        await site.happens("ran", times=2)
    assert await states(site, [job_id]) == ["cancelled"]


async def test_a_job_is_not_requeued_while_another_has_its_unique_key(site: EngineSite) -> None:
    first, second = await enqueue(site, note(), note(unique_key="u"))
    await give(site, Cancel(), second)
    (third,) = await enqueue(site, note(unique_key="u"))
    assert await give(site, Requeue(), second) == [Effect.UNIQUE_KEY_TAKEN]
    await give(site, Cancel(), third)
    assert await give(site, Requeue(), second, third) == [Effect.REQUEUED, Effect.UNIQUE_KEY_TAKEN]
    assert await states(site, [first, second, third]) == ["enqueued", "enqueued", "cancelled"]
    await be_consistent(site)


async def test_a_rescheduled_job_starts_at_its_new_time(site: EngineSite) -> None:
    early, late, retrying = await enqueue(
        site, note("early", delay=3600), note("late"), job("fail", {"times": 99}, queue="idle", delay=3600)
    )
    await give(site, Reschedule(at=datetime.now(UTC) + timedelta(days=1)), late)
    assert await states(site, [late]) == ["scheduled"]
    async with site.worker(poll_seconds=30):
        assert await give(site, Reschedule(delay=0.2), early, retrying) == [Effect.RESCHEDULED] * 2
        await become(site, [early, retrying], "succeeded", "failed", seconds=10)
        assert await states(site, [late]) == ["scheduled"]
        assert await give(site, RunNow(), late) == [Effect.RELEASED]
        await become(site, [late], "succeeded", seconds=10)
    await be_consistent(site)


async def test_a_job_with_a_new_priority_is_reordered(site: EngineSite) -> None:
    first, second, third = await enqueue(site, note("first"), note("second"), note("third", delay=3600))
    await give(site, Change(priority=5), second)
    await give(site, Change(priority=9), third)
    await give(site, RunNow(), third)
    async with site.worker(concurrency=1):
        await become(site, [first, second, third], "succeeded")
    assert await site.events() == ["third", "second", "first"]


async def test_a_job_moved_to_another_queue_is_run_by_that_queues_workers(site: EngineSite) -> None:
    waiting, scheduled = await enqueue(site, note("waiting"), note("scheduled", delay=3600))
    async with site.worker(queues=["other"], poll_seconds=30):
        assert await give(site, Change(queue="other"), waiting, scheduled) == [Effect.CHANGED] * 2
        await become(site, [waiting], "succeeded", seconds=10)
        await give(site, RunNow(), scheduled)
        await become(site, [scheduled], "succeeded", seconds=10)
    assert await site.value("SELECT count(*) FROM bulkport.queues WHERE name = 'other'") == 1
    assert await site.value("SELECT sum(enqueued) FROM bulkport.job_series WHERE granularity = 'all'") in (None, 2)
    await be_consistent(site)


async def test_a_running_job_reacts_to_its_cancellation(site: EngineSite) -> None:
    async with site.worker():
        (job_id,) = await enqueue(site, gated())
        (child,) = await enqueue(site, note("child", parents=(Parent(job_id, on=Outcome.FINISHED),)))
        await site.happens("begun")
        assert await give(site, Cancel(reason="enough", actor="ada"), job_id) == [Effect.ASKED_TO_STOP]
        assert await give(site, Delete(), job_id) == [Effect.ALREADY_ASKED_TO_STOP]
        await site.reaches(job_id, JobState.CANCELLED)
        await site.reaches(child, JobState.SUCCEEDED)
    assert (await reasons(site, job_id))[0] == ("processing", "asked to stop: enough", "ada")
    await be_consistent(site)


async def test_commands_take_effect_in_the_callers_transaction(site: EngineSite) -> None:
    ids = await enqueue(site, note(), note(delay=60), note(concurrency_key="k"), note(concurrency_key="k"))
    before = await states(site, ids)
    async with site.connection.transaction(force_rollback=True):
        assert await give(site, Cancel(), *ids) == [Effect.CANCELLED] * 4
    assert await states(site, ids) == before
    await be_consistent(site)


@pytest.mark.parametrize("make", [Reschedule, Change, lambda: Reschedule(at=datetime.now(UTC), delay=1)])
def test_a_command_without_any_change_is_rejected(make: Callable[[], Order]) -> None:
    with pytest.raises(ValueError, match=r"rescheduled|changed"):
        make()


def test_times_need_a_zone_and_queues_a_name() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Reschedule(at=datetime(2026, 1, 1))  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match="name"):
        Change(queue="")


def test_a_summary_reads_as_a_sentence() -> None:
    effects = {Effect.ALREADY_RUNNING: 1, Effect.REQUEUED: 12, Effect.REPEATED: 2}
    assert str(OrderSummary(effects)) == "12 requeued, 2 repeated, 1 already running"
    assert OrderSummary(effects).done == 14
    assert str(OrderSummary()) == "no jobs"
