"""Searching jobs: results, order and pages of a query."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from reading_site import NOON, ReadingSite

from bulkport.jobs.errors import InvalidCursor, InvalidJobQuery, SearchTookTooLong
from bulkport.jobs.job import JobState
from bulkport.jobs.port.query import JobQuery, JobSort
from bulkport.jobs.postgres.reading import PostgresJobReader, search

STATES = ("succeeded", "failed", "cancelled", "enqueued", "scheduled", "awaiting", "retrying")
Job = dict[str, Any]


def some_jobs(count: int) -> list[Job]:
    source = random.Random(7)
    jobs = []
    for number in range(1, count + 1):
        state = source.choice(STATES)
        # Equal times are common: jobs are enqueued together.
        created = NOON + timedelta(minutes=source.randrange(count // 3))
        job: Job = {
            "job_id": number,
            "state": state,
            "task": source.choice(["report", "mail", "clean"]),
            "queue": source.choice(["default", "slow"]),
            "user_id": source.choice([None, "ada", "grace"]),
            "batch_id": source.choice([None, 1, 2]),
            "recurring_id": source.choice([None, "nightly"]),
            "args": {
                "to": source.choice(["Ada@example.org", "grace@example.org"]),
                "mark": source.choice("xyz") * 2,
                "file": f"page{number % 5}000.pdf",
            },
            "error_type": source.choice([None, "ValueError"]),
            "created_at": created,
            "started_at": None,
            "finished_at": None,
            "due_at": None,
            "priority": source.choice([0, 0, 5, -1]),
            "server": source.choice([None, "a", "b"]),
        }
        if JobState(state) in WITH_DUE_TIME:
            job["due_at"] = created + timedelta(seconds=source.randrange(100))
        if JobState(state).is_final:
            job["started_at"] = source.choice([None, created + timedelta(seconds=source.randrange(100))])
            job["finished_at"] = created + timedelta(seconds=100 + source.randrange(3))
        jobs.append(job)
    return jobs


def expected(jobs: list[Job], query: JobQuery, keeps: Callable[[Job], bool]) -> list[int]:
    def value(job: Job) -> Any:
        if query.sort is JobSort.CREATED:
            return job["created_at"]
        if query.sort is JobSort.FINISHED:
            return job["finished_at"]
        if query.sort is JobSort.DUE:
            return job["due_at"]
        return job["finished_at"] - job["started_at"] if job["started_at"] else timedelta(0)

    kept = [job for job in jobs if keeps(job) and (not query.states or job["state"] in query.states)]
    if query.sort is not JobSort.CREATED:
        time = "due_at" if query.sort is JobSort.DUE else "finished_at"
        kept = [job for job in kept if job[time] is not None]
    kept.sort(key=lambda job: (value(job), job["job_id"]), reverse=query.descending)
    return [job["job_id"] for job in kept]


def within(name: str, since: datetime, until: datetime) -> Callable[[Job], bool]:
    return lambda job: job[name] is not None and since <= job[name] < until


WITH_DUE_TIME = {JobState.SCHEDULED, JobState.RETRYING}
EARLY, LATE = NOON + timedelta(minutes=10), NOON + timedelta(minutes=25)
QUERIES: list[tuple[dict[str, Any], Callable[[Job], bool]]] = [
    ({}, lambda job: True),
    ({"states": [JobState.FAILED]}, lambda job: True),
    ({"states": [JobState.ENQUEUED, JobState.PROCESSING, JobState.CANCELLED]}, lambda job: True),
    ({"task": "mail"}, lambda job: job["task"] == "mail"),
    ({"queue": "slow", "user_id": "ada"}, lambda job: (job["queue"], job["user_id"]) == ("slow", "ada")),
    ({"batch_id": 2, "recurring_id": "nightly"}, lambda job: (job["batch_id"], job["recurring_id"]) == (2, "nightly")),
    (
        {"error_type": "ValueError", "task": "clean"},
        lambda job: (job["error_type"], job["task"])[::-1] == ("clean", "ValueError"),
    ),
    ({"text": "aDa@"}, lambda job: job["args"]["to"] == "Ada@example.org"),
    ({"text": "xx"}, lambda job: job["args"]["mark"] == "xx"),
    ({"text": "valueerr", "task": "mail"}, lambda job: (job["error_type"], job["task"]) == ("ValueError", "mail")),
    ({"text": "nowhere"}, lambda job: False),
    ({"text": "PAGE3000.p"}, lambda job: job["args"]["file"] == "page3000.pdf"),
    (
        {"text": "page2000.pdf", "task": "mail"},
        lambda job: (job["args"]["file"], job["task"]) == ("page2000.pdf", "mail"),
    ),
    ({"text": "page3000.png"}, lambda job: False),
    ({"task": "nowhere"}, lambda job: False),
    ({"created_since": EARLY, "created_until": LATE}, within("created_at", EARLY, LATE)),
    ({"finished_since": EARLY, "finished_until": LATE}, within("finished_at", EARLY, LATE)),
    (
        {
            "created_since": EARLY,
            "finished_until": LATE,
            "text": "grace",
            "states": [JobState.SUCCEEDED, JobState.FAILED],
        },
        lambda job: (
            within("finished_at", NOON, LATE)(job) and job["created_at"] >= EARLY and "grace" in job["args"]["to"]
        ),
    ),
]

OF_SEVERAL: list[tuple[dict[str, Any], Callable[[Job], bool]]] = [
    ({"task": ["mail", "clean", "nowhere"]}, lambda job: job["task"] in ("mail", "clean")),
    ({"task": {"mail"}, "queue": {"slow"}}, lambda job: (job["task"], job["queue"]) == ("mail", "slow")),
    (
        {"task": ["mail", "clean"], "queue": ["slow", "default"], "user_id": "ada"},
        lambda job: job["task"] in ("mail", "clean") and job["user_id"] == "ada",
    ),
    (
        {"user_id": ["ada", "grace"], "text": "aDa@", "states": [JobState.FAILED, JobState.ENQUEUED]},
        lambda job: job["user_id"] is not None and job["args"]["to"] == "Ada@example.org",
    ),
    ({"recurring_id": ["nightly", "weekly"]}, lambda job: job["recurring_id"] == "nightly"),
    ({"error_type": [f"Error{n}" for n in range(30)] + ["ValueError"]}, lambda job: job["error_type"] == "ValueError"),
    ({"server": "a"}, lambda job: job["server"] == "a"),
    ({"server": ["a", "b"], "priority": 0}, lambda job: job["server"] is not None and job["priority"] == 0),
    ({"priority": 5}, lambda job: job["priority"] == 5),
    ({"priority": [5, -1], "task": "mail"}, lambda job: job["priority"] and job["task"] == "mail"),
    ({"priority": [5, 0]}, lambda job: job["priority"] >= 0),
    ({"tag": "even"}, lambda job: job["job_id"] % 2 == 0),
    ({"tag": ["even", "third"]}, lambda job: job["job_id"] % 2 == 0 or job["job_id"] % 3 == 0),
    ({"tag": ["even", "third"], "has_all_tags": True}, lambda job: job["job_id"] % 6 == 0),
    (
        {"tag": ["even", "third"], "has_all_tags": True, "task": ["mail", "report"]},
        lambda job: job["job_id"] % 6 == 0 and job["task"] != "clean",
    ),
]


@pytest.mark.parametrize(
    "bounds",
    [(2_000, 10_000, 20_000, 2_000), (5, 12, 1_000, 1_000), (5, 12, 1_000, 4), (3, 7, 4, 4)],
    ids=["wide", "gather", "gather without a rare word", "scan"],
)
async def test_every_query_finds_the_right_jobs(
    reading_site: ReadingSite, monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int, int, int]
) -> None:
    names = ("FIRST_SCANNED", "MOST_SCANNED", "MOST_GATHERED", "MOST_ANCHORED")
    for name, value in zip(names, bounds, strict=True):
        monkeypatch.setattr(search, name, value)
    jobs = some_jobs(150)
    await reading_site.put_all(jobs)
    await reading_site.connection.execute(
        "INSERT INTO bulkport.job_tags (job_id, tag) SELECT id, 'even' FROM generate_series(2, 150, 2) AS id"
        " UNION ALL SELECT id, 'third' FROM generate_series(3, 150, 3) AS id"
    )
    all_orders = [(sort, descending) for sort in JobSort for descending in (True, False)]
    two_orders = [(JobSort.CREATED, True), (JobSort.FINISHED, False)]
    asked = [*((*one, all_orders) for one in QUERIES), *((*one, two_orders) for one in OF_SEVERAL)]
    for arguments, keeps, orders in asked:
        for sort, descending in orders:
            query = JobQuery(**arguments, sort=sort, descending=descending)
            wanted = expected(jobs, query, keeps)
            assert await reading_site.found(query, limit=9) == wanted, query
        query = JobQuery(**arguments)
        wanted = expected(jobs, query, keeps)
        assert await all_ids(reading_site, query) == expected(jobs, JobQuery(**arguments, descending=False), keeps)
        count = await reading_site.reader.count(query)
        assert count.jobs == len(wanted) or (count.is_more and count.jobs < len(wanted)), query


async def all_ids(site: ReadingSite, query: JobQuery, limit: int = 11) -> list[int]:
    numbers: list[int] = []
    after = None
    while True:
        ids = await site.reader.ids(query, after=after, limit=limit)
        numbers += map(int, ids.ids)
        after = ids.next_cursor
        if after is None:
            return numbers


@pytest.mark.parametrize("text", [None, "xx"])
@pytest.mark.parametrize("sort", list(JobSort))
@pytest.mark.parametrize("descending", [True, False])
async def test_paging_back_returns_the_same_pages(
    reading_site: ReadingSite, monkeypatch: pytest.MonkeyPatch, text: str | None, sort: JobSort, descending: bool
) -> None:
    monkeypatch.setattr(search, "FIRST_SCANNED", 3)
    monkeypatch.setattr(search, "MOST_SCANNED", 5)
    await reading_site.put_all(some_jobs(60))
    query = JobQuery(text=text, sort=sort, descending=descending)
    everything = await reading_site.found(query)
    page = await reading_site.reader.search(query, limit=4)
    assert page.previous_cursor is None
    while page.next_cursor is not None:
        page = await reading_site.reader.search(query, cursor=page.next_cursor, limit=4)
    numbers = [int(job.id) for job in page.items]
    while page.previous_cursor is not None:
        page = await reading_site.reader.search(query, cursor=page.previous_cursor, limit=4)
        numbers = [int(job.id) for job in page.items] + numbers
        # And each of them leads forward to where it was come from.
        if page.next_cursor is not None:
            after = await reading_site.reader.search(query, cursor=page.next_cursor, limit=1)
            assert all(int(job.id) in numbers[len(page.items) :] for job in after.items)
    # The way back may end on the first page itself, which then begins anew.
    assert numbers[-len(everything) :] == everything
    assert set(numbers) == set(everything)


async def test_new_jobs_do_not_shift_pages(reading_site: ReadingSite) -> None:
    for number in range(1, 31):
        await reading_site.put(number)
    first = await reading_site.reader.search(JobQuery(), limit=10)
    for number in range(31, 41):
        await reading_site.put(number)
    second = await reading_site.reader.search(JobQuery(), cursor=first.next_cursor, limit=10)
    assert [int(job.id) for job in second.items] == list(range(20, 10, -1))
    back = await reading_site.reader.search(JobQuery(), cursor=second.previous_cursor, limit=10)
    assert back.items == first.items
    newest = await reading_site.reader.search(JobQuery(), cursor=back.previous_cursor, limit=10)
    assert [int(job.id) for job in newest.items] == list(range(40, 30, -1))


async def test_paging_back_from_a_pruned_start_leads_to_the_first_page(reading_site: ReadingSite) -> None:
    for number in range(1, 11):
        await reading_site.put(number)
    first = await reading_site.reader.search(JobQuery(), limit=3)
    second = await reading_site.reader.search(JobQuery(), cursor=first.next_cursor, limit=3)
    await reading_site.connection.execute("DELETE FROM bulkport.finished_jobs WHERE job_id > 7")
    back = await reading_site.reader.search(JobQuery(), cursor=second.previous_cursor, limit=3)
    assert [int(job.id) for job in back.items] == [7, 6, 5]
    assert back.previous_cursor is None
    assert back.next_cursor is not None


async def test_waiting_and_running_jobs_are_distinguished(reading_site: ReadingSite) -> None:
    waiting = [await reading_site.enqueue() for _ in range(3)]
    server = await reading_site.serve()
    running = await reading_site.claim(server)
    waiting.remove(running)
    assert await reading_site.found(JobQuery(states=[JobState.PROCESSING])) == [running]
    assert await reading_site.found(JobQuery(states=[JobState.ENQUEUED])) == waiting[::-1]
    both = JobQuery(states=[JobState.ENQUEUED, JobState.PROCESSING])
    assert await reading_site.found(both) == [*waiting[::-1], running]
    (job,) = (await reading_site.reader.search(JobQuery(states=[JobState.PROCESSING]))).items
    assert (job.state, job.server, job.runs, job.finished_at) == (JobState.PROCESSING, "server-1", 0, None)
    assert job.started_at is not None
    assert job.latency_seconds == pytest.approx((job.started_at - job.ready_at).total_seconds())
    assert (await reading_site.reader.count(JobQuery(states=[JobState.PROCESSING]))).jobs == 1
    assert (await reading_site.reader.ids(JobQuery(states=[JobState.PROCESSING]))).ids == (job.id,)


@pytest.mark.parametrize("state", ["succeeded", "enqueued"])
async def test_search_text_is_taken_literally(reading_site: ReadingSite, state: str) -> None:
    texts = [
        "100% sure",
        "under_score",
        "back\\slash C:\\temp",
        'said "hello"',
        "two\nlines",
        "Größe ÄÖÜ",
        "a'b;--",
        "x",
    ]
    for number, text in enumerate(texts, start=1):
        await reading_site.put(number, state, args={"text": text})
    for number, text in enumerate(texts, start=1):
        assert number in await reading_site.found(JobQuery(text=text)), text
    for text, numbers in {
        "%": [1],
        "_": [2],
        "HELLO": [4],
        "0% S": [1],
        "r_s": [2],
        "C:\\TEMP": [3],
        "two\nLINES": [5],
        '"text": "x"': [8],
        "o%s": [],
    }.items():
        assert await reading_site.found(JobQuery(text=text)) == numbers, text


async def test_errors_are_found_by_type_and_text(reading_site: ReadingSite) -> None:
    await reading_site.put(1, "failed", error_type="smtplib.SMTPError", error="mailbox full")
    await reading_site.put(2, "retrying", error_type="smtplib.SMTPError", error="greylisted")
    await reading_site.put(3)
    assert await reading_site.found(JobQuery(error_type="smtplib.SMTPError")) == [2, 1]
    assert await reading_site.found(JobQuery(text="MAILBOX")) == [1]
    assert await reading_site.found(JobQuery(text="greylist")) == [2]
    assert await reading_site.found(JobQuery(text="smtperror: mailbox")) == [1]


async def test_a_walk_ends_although_jobs_keep_arriving(reading_site: ReadingSite) -> None:
    for number in range(1, 8):
        await reading_site.put(number, "failed")
    walk = await reading_site.reader.ids(JobQuery(states=[JobState.FAILED]), limit=3)
    met = list(walk.ids)
    for number in range(100, 200):
        await reading_site.put(number, "failed", created_at=datetime.now(NOON.tzinfo) + timedelta(days=1))
    while walk.next_cursor is not None:
        walk = await reading_site.reader.ids(JobQuery(states=[JobState.FAILED]), after=walk.next_cursor, limit=3)
        met += walk.ids
    assert met == [str(number) for number in range(1, 8)]


async def test_counting_stops_at_the_requested_limit(reading_site: ReadingSite) -> None:
    for number in range(1, 21):
        await reading_site.put(number, args={"text": "needle" if number % 4 == 0 else "hay"})
    for query, jobs in ((JobQuery(), 20), (JobQuery(text="needle"), 5), (JobQuery(text="ne"), 5)):
        count = await reading_site.reader.count(query)
        assert (count.jobs, count.is_more) == (jobs, False)
        count = await reading_site.reader.count(query, most=jobs)
        assert (count.jobs, count.is_more) == (jobs, False)
        count = await reading_site.reader.count(query, most=jobs - 1)
        assert (count.jobs, count.is_more) == (jobs - 1, True)


async def test_large_arguments_are_only_in_the_details(reading_site: ReadingSite) -> None:
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=100_000))
    await reading_site.put(1, args={"noise": noise})
    (job,) = (await reading_site.reader.search(JobQuery())).items
    assert job.args is None
    details = await reading_site.reader.details(job.id)
    assert details is not None
    assert details.job.args == {"noise": noise}


async def test_invalid_queries_are_rejected(reading_site: ReadingSite) -> None:
    for wrong in (
        {"created_since": datetime(2026, 1, 1)},  # noqa: DTZ001 - the missing zone is the point
        {"text": "nul \0"},
        {"task": "half \ud800"},
        {"batch_id": 0},
        {"batch_id": 2**63},
    ):
        with pytest.raises(InvalidJobQuery):
            JobQuery(**wrong)
    for limit in (0, 501):
        with pytest.raises(InvalidJobQuery):
            await reading_site.reader.search(JobQuery(), limit=limit)
        with pytest.raises(InvalidJobQuery):
            await reading_site.reader.ids(JobQuery(), limit=limit)
    with pytest.raises(InvalidJobQuery):
        await reading_site.reader.count(JobQuery(), most=0)
    await reading_site.put(1)
    await reading_site.put(2)
    page = await reading_site.reader.search(JobQuery(), limit=1)
    for reading in (
        reading_site.reader.search(JobQuery(), cursor="x"),
        reading_site.reader.search(JobQuery(sort=JobSort.FINISHED), cursor=page.next_cursor),
        reading_site.reader.ids(JobQuery(), after=page.next_cursor),
    ):
        with pytest.raises(InvalidCursor):
            await reading


async def test_a_search_that_takes_too_long_is_cancelled(reading_site: ReadingSite) -> None:
    await reading_site.put(1)
    reader = PostgresJobReader(reading_site.pool, most_seconds=0.1)
    async with await psycopg.AsyncConnection.connect(reading_site.url) as blocking:
        await blocking.execute("LOCK TABLE bulkport.jobs, bulkport.finished_jobs IN ACCESS EXCLUSIVE MODE")
        for reading in (reader.search(JobQuery()), reader.count(JobQuery(text="one two")), reader.statistics()):
            with pytest.raises(SearchTookTooLong, match="narrow it by"):
                await asyncio.wait_for(reading, 60)
        async with reader.at_one_moment() as moment:
            with pytest.raises(SearchTookTooLong, match="narrow it by"):
                await asyncio.wait_for(moment.search(JobQuery()), 60)
    assert len((await reader.search(JobQuery())).items) == 1
    assert await reading_site.value("SHOW statement_timeout") == "0"


async def test_the_settings_of_a_search_do_not_leak(reading_site: ReadingSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FIRST_SCANNED", 1)
    monkeypatch.setattr(search, "GATHER_SECONDS", 0.001)
    for number in range(1, 4):
        await reading_site.put(number)
    await reading_site.reader.search(JobQuery(text="number"))
    async with reading_site.pool.connection() as connection:
        for setting, value in (("statement_timeout", "0"), ("enable_seqscan", "on"), ("transaction_read_only", "off")):
            row = await (await connection.execute(f"SHOW {setting}")).fetchone()
            assert row == (value,)


async def test_text_is_found_without_the_index_and_that_is_reported(reading_site: ReadingSite) -> None:
    for number in range(30):
        await reading_site.put(number + 1, args={"mark": "rare" if number % 10 == 0 else "common"})
    query = JobQuery(text="rare")
    assert (await reading_site.reader.search(query)).notice is None
    await reading_site.connection.execute("DROP INDEX bulkport.finished_jobs_search")
    reader = PostgresJobReader(reading_site.pool, most_seconds=30)
    page = await reader.search(query)
    assert [int(job.id) for job in page.items] == [21, 11, 1]
    assert page.notice is not None
    assert "pg_trgm" in page.notice
    assert (await reader.search(JobQuery())).notice is None
    assert (await reader.count(query)).jobs == 3
