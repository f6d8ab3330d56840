"""Invalid job queries are rejected with the allowed values."""

from datetime import UTC, datetime
from typing import Any

import pytest

from background_jobs import BackgroundJobs
from bulkport.jobs import JobQuery, JobSort, JobState
from bulkport.jobs.errors import InvalidJobQuery

jobs = BackgroundJobs()


@jobs.task
async def send() -> None: ...


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"states": {"lost"}}, "'lost' is not a valid JobState; there are enqueued, scheduled"),
        ({"states": JobState.FAILED}, "states takes several, such as {JobState.FAILED}"),
        ({"states": None}, "states takes several"),
        ({"sort": "size"}, "'size' is not a valid JobSort; there are created"),
        ({"task": send}, "give the task's name"),
        ({"user_id": 7.5}, "user_id is text, not 7.5"),
        ({"queue": "a\0b"}, "queue: not storable"),
        ({"created_since": datetime(2026, 1, 1)}, "created_since is a datetime with a time zone"),  # noqa: DTZ001
        ({"finished_until": "2026-01-01"}, "finished_until is a datetime with a time zone"),
        ({"batch_id": "3"}, "batch_id is not the id of a batch"),
        ({"batch_id": 0}, "batch_id is not the id of a batch"),
        ({"batch_id": 2**63}, "batch_id is not the id of a batch"),
    ],
)
def test_an_impossible_query_is_rejected(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidJobQuery) as caught:
        JobQuery(**given)
    assert why in str(caught.value)


def test_states_and_sort_can_be_given_by_name() -> None:
    states: Any = ["failed", JobState.RETRYING]
    sort: Any = "duration"
    query = JobQuery(states=states, sort=sort, created_since=datetime(2026, 1, 1, tzinfo=UTC))
    assert query.states == {JobState.FAILED, JobState.RETRYING}
    assert query.sort is JobSort.DURATION
