"""Recurring jobs declared in code, before any database is there."""

import pytest

from bulkport.jobs.errors import ArgumentsDoNotFit, InvalidSchedule, RecurringJobAlreadyDeclared
from bulkport.jobs.port.recurring import MissedRuns, RecurringDefinition, RecurringStore
from bulkport.jobs.recurring import RecurringJobs
from bulkport.jobs.task import JobOptions, Task, TaskSettings


async def send(recipient: str, copies: int = 1) -> None: ...


TASK = Task(send, TaskSettings(name="send"), JobOptions(queue="mail", priority=3))


def unconnected() -> RecurringStore:
    raise RuntimeError("not connected")


@pytest.fixture
def recurring() -> RecurringJobs:
    return RecurringJobs(unconnected)


def test_a_declaration_leaves_the_task_unchanged(recurring: RecurringJobs) -> None:
    declared = recurring("nightly", cron="0 3 * * *", timezone="Europe/Berlin", args={"recipient": "ada"})(TASK)
    assert declared is TASK
    assert list(recurring.declared) == [
        RecurringDefinition(
            id="nightly",
            task="send",
            cron="0 3 * * *",
            timezone="Europe/Berlin",
            args={"recipient": "ada"},
            queue="mail",
            priority=3,
        )
    ]


def test_queue_priority_and_policies_can_be_set(recurring: RecurringJobs) -> None:
    options = {"queue": "slow", "priority": 0, "missed": "all", "overlap": False}
    recurring("x", cron="@daily", args={"recipient": "ada"}, **options)(TASK)  # type: ignore[arg-type]
    (found,) = recurring.declared
    assert (found.queue, found.priority, found.missed, found.overlap) == ("slow", 0, MissedRuns.ALL, False)


def test_an_id_can_be_declared_once(recurring: RecurringJobs) -> None:
    recurring("x", cron="@daily", args={"recipient": "ada"})(TASK)
    with pytest.raises(RecurringJobAlreadyDeclared):
        recurring("x", cron="@daily", args={"recipient": "ada"})(TASK)


def test_an_impossible_declaration_is_rejected(recurring: RecurringJobs) -> None:
    with pytest.raises(InvalidSchedule, match="bad minute"):
        recurring("x", cron="61 * * * *", args={"recipient": "ada"})(TASK)
    with pytest.raises(InvalidSchedule, match="no time zone"):
        recurring("x", cron="@daily", timezone="Mars/Base", args={"recipient": "ada"})(TASK)
    with pytest.raises(ArgumentsDoNotFit, match="recipient"):
        recurring("x", cron="@daily")(TASK)
    with pytest.raises(ValueError, match="is not a valid MissedRuns"):
        recurring("x", cron="@daily", args={"recipient": "ada"}, missed="never")(TASK)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no unique key"):
        recurring("x", cron="@daily", args={"recipient": "ada"})(TASK.options(unique_key="x"))
    assert not recurring.declared


@pytest.mark.parametrize("recurring_id", ["", "x" * 201, "a\0b", "a\nb", "\udc80"])
def test_an_id_can_be_displayed(recurring: RecurringJobs, recurring_id: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        recurring(recurring_id, cron="@daily", args={"recipient": "ada"})(TASK)
    assert not recurring.declared
