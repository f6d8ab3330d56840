"""From the address of a list to its job query."""

from datetime import UTC, datetime, timedelta

import pytest

from bulkport.dashboard import PageRequest, Query, Role
from bulkport.dashboard.core.several import exactly, listed, several
from bulkport.dashboard.pages.job_filters import JobFilter, in_words, sorting_of
from bulkport.dashboard.pages.job_outcomes import jobs_in_words, outcome_in_words
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobSort, JobState
from bulkport.jobs.errors import InvalidJobQuery
from bulkport.jobs.port.control import Effect, OrderSummary


def found(address: str, state: JobState | None = None) -> JobFilter:
    return JobFilter.of(Query.parse(address), state=state)


def test_every_field_filters_the_query() -> None:
    one = found("state=failed&task=t&queue=q&user=u&text=x&error=E&recurring=r&batch=7&since=2026-07-01&sort=created")
    query = one.query
    assert (query.states, query.task, query.queue, query.user_id, query.text) == ({JobState.FAILED}, "t", "q", "u", "x")
    assert (query.error_type, query.recurring_id, query.batch_id) == ("E", "r", 7)
    assert (query.finished_since, query.created_since) == (datetime(2026, 7, 1, tzinfo=UTC), None)
    assert one.is_narrowed
    assert not found("state=failed&sort=created&size=25").is_narrowed


def test_fields_accept_several_values() -> None:
    query = found(
        'state=failed,retrying&task=mail, report&user="Ada, Bob",eve&tag=a&tag=b&tags=all&priority=5,-1'
    ).query
    assert query.states == {JobState.FAILED, JobState.RETRYING}
    assert (query.task, query.user_id, query.tag) == (("mail", "report"), ("Ada, Bob", "eve"), ("a", "b"))
    assert (query.has_all_tags, query.priority) == (True, (-1, 5))
    assert found("task=mail").query.task == "mail"
    assert found("state=failed,succeeded").is_about_ended
    assert found("state=failed,succeeded").state is None
    words = in_words(Query.parse("state=failed,retrying&task=a,b&tag=x,y&tags=all&queue=mail,slow"))
    assert words == "failed or retrying a or b jobs (queue: mail or slow, tag: x and y)"


@pytest.mark.parametrize("value", ["mail", "a, b", ' "x" ', 'say "hi", Bob', '"', ",", " edge "])
def test_each_of_several_values_round_trips(value: str) -> None:
    assert several(exactly(value)) == (value,)
    assert several(listed(["first", value, "last"])) == ("first", value, "last")


def test_times_filter_by_creation_unless_only_finished_jobs_are_listed() -> None:
    query = found("since=2026-07-01T14:00&until=2026-07-01T16:00%2B02:00").query
    assert query.created_since == query.created_until == datetime(2026, 7, 1, 14, tzinfo=UTC)
    recent = found("within=hour&since=2026-07-01").query.created_since
    assert recent is not None
    assert timedelta(minutes=59) < datetime.now(UTC) - recent < timedelta(minutes=61)


@pytest.mark.parametrize(
    "address",
    [
        "state=lost",
        "batch=0",
        "batch=x",
        "batch=٣",
        "within=year",
        "since=monday",
        "until=25:00",
        "task=%00",
        "tags=some",
        "priority=1,x",
    ],
)
def test_an_impossible_filter_is_rejected(address: str) -> None:
    with pytest.raises(InvalidJobQuery):
        found(address)


def test_a_time_range_ends_at_its_until() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    query = JobFilter.of(Query.parse("within=hour"), now=noon).query
    assert query.created_since == noon - timedelta(hours=1)


def test_a_page_about_a_state_keeps_to_it() -> None:
    assert found("state=failed", JobState.RETRYING).query.states == {JobState.RETRYING}
    assert in_words(Query.parse("state=failed&task=t"), state=JobState.RETRYING) == "retrying t jobs"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", JobSort.CREATED),
        ("sort=duration", JobSort.CREATED),
        ("state=failed", JobSort.FINISHED),
        ("state=failed&within=day", JobSort.FINISHED),
        ("state=failed&task=t", JobSort.CREATED),
        ("state=failed&task=t&sort=duration", JobSort.DURATION),
        ("state=enqueued&sort=finished", JobSort.CREATED),
        ("state=enqueued&sort=due", JobSort.CREATED),
        ("state=scheduled", JobSort.DUE),
        ("state=retrying&task=t", JobSort.DUE),
        ("state=scheduled&sort=created", JobSort.CREATED),
        ("state=scheduled&sort=duration", JobSort.DUE),
        ("state=failed&sort=due", JobSort.FINISHED),
    ],
)
def test_the_order_is_backed_by_an_index(address: str, expected: JobSort) -> None:
    request = PageRequest("jobs", {}, Query.parse(address), Role.OPERATOR)
    assert sorting_of(request, JobFilter.of(request.query)).key == expected


@pytest.mark.parametrize(
    ("address", "descending"),
    [
        ("state=scheduled", False),
        ("state=scheduled&order=desc", True),
        ("state=scheduled&sort=created", True),
        ("state=failed", True),
    ],
)
def test_scheduled_jobs_are_listed_first_due_and_finished_ones_last_ended(address: str, descending: bool) -> None:
    request = PageRequest("jobs", {}, Query.parse(address), Role.OPERATOR)
    sorting = sorting_of(request, JobFilter.of(request.query))
    assert sorting.descending is descending
    other = "asc" if descending else "desc"
    assert f"order={other}" in sorting.link(request, sorting.key)


def test_another_column_starts_in_its_most_useful_order() -> None:
    request = PageRequest("jobs", {}, Query.parse("state=scheduled&sort=created"), Role.OPERATOR)
    sorting = sorting_of(request, JobFilter.of(request.query))
    assert sorting.link(request, "due") == "./jobs?order=asc&sort=due&state=scheduled"


def test_outcomes_are_described_in_words() -> None:
    summary = OrderSummary({Effect.ALREADY_ENDED: 1, Effect.REQUEUED: 1200, Effect.UNKNOWN: 2})
    assert outcome_in_words(summary) == "1,200 jobs requeued, 1 already finished, 2 no longer exist."
    assert outcome_in_words(OrderSummary()) == "No matching jobs."
    for effect in Effect:
        assert outcome_in_words(OrderSummary({effect: 1})).startswith("1 ")


def test_a_few_jobs_are_named_individually() -> None:
    ids = [BackgroundJobId(str(number)) for number in range(1, 13)]
    assert jobs_in_words(ids[:1]) == "job 1"
    assert jobs_in_words(ids[:3]) == "jobs 1, 2, 3"
    assert jobs_in_words(ids) == "jobs 1, 2, 3, 4, 5 and 7 more"
