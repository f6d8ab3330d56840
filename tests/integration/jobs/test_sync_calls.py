"""Code without an event loop has the same calls."""

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db.utils import ConnectionHandler
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel

from bulkport import NO_RETRY, Bulkport, DatabaseRefused, JobQuery, JobState, NotConnected, Resource
from bulkport.errors import AlreadyUndone, JobNotFound, RowsRetried
from bulkport.jobs.port.control import Effect
from bulkport.migrations.errors import MigrationsMissing


class Book(BaseModel):
    title: str


BOOKS = Resource(name="books", label="Book", label_field="title", model=Book, table="books")


@pytest.fixture
def shop(database_url: str) -> Bulkport:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE books (title text PRIMARY KEY CHECK (title <> 'Bad'))")
    bulkport = Bulkport(database_url, resources=[BOOKS])

    @bulkport.task(name="double", retry=NO_RETRY)
    def double(number: int) -> int:
        if number < 0:
            raise ValueError("negative")
        return 2 * number

    @bulkport.task(name="chain")
    def chain(number: int) -> str:
        # A sync task runs in a thread of the worker, where the same calls work.
        job_id = bulkport.sync.enqueue(double, number)
        job = bulkport.sync.get(job_id)
        assert job is not None
        return job.task

    return bulkport


@contextmanager
def worker(bulkport: Bulkport) -> Iterator[None]:
    """A worker in a thread."""
    ready = threading.Event()
    ends: list[Callable[[], object]] = []

    async def work() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        ready.set()
        await bulkport.run_worker(stop)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        ends[0]()
        thread.join()


def ended(bulkport: Bulkport, job_id: str) -> JobState:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job = bulkport.sync.get(job_id)  # type: ignore[arg-type]
        if job is not None and job.state.is_final:
            return job.state
        time.sleep(0.02)
    raise AssertionError("the job does not stop")


def test_jobs_are_enqueued_looked_up_cancelled_and_retried(shop: Bulkport) -> None:
    double = shop.tasks["double"]
    with shop.sync.connect() as sync:
        waiting = sync.schedule(double, 1, in_=3600)
        job = sync.get(waiting)
        assert job is not None
        assert job.state is JobState.SCHEDULED
        assert sync.run_now(waiting).effect.is_done
        assert sync.cancel(waiting, reason="not needed", actor="ada").effect is Effect.CANCELLED
        failing = sync.enqueue(double, -1)
        with sync.batch("two") as batch:
            batch.add(double, 1)
            batch.add(double, 2)
        with worker(shop):
            assert ended(shop, failing) is JobState.FAILED
            assert sync.requeue(failing).effect.is_done
            assert ended(shop, failing) is JobState.FAILED
            assert ended(shop, sync.enqueue(shop.tasks["chain"], 4)) is JobState.SUCCEEDED
        details = sync.details(failing)
        assert details is not None
        assert len(details.runs) == 2
        found = sync.search(JobQuery(batch_id=batch.id))
        assert [job.state for job in found.items] == [JobState.SUCCEEDED] * 2
        assert sync.count(JobQuery(states=[JobState.CANCELLED])).jobs == 1


def test_a_file_is_imported_and_followed(shop: Bulkport) -> None:
    with shop.sync.connect() as sync, worker(shop):
        import_id = sync.import_file(BOOKS, b"title\nEmma\nBad\n", user="ada", name="first")
        job = sync.wait_for_import(import_id)
        assert (job.status, job.success_count, job.failure_count, job.name) == ("PartialSuccess", 1, 1, "first")
        assert [error.row for error in sync.import_errors(import_id)] == [2]
        assert sync.cancel_import(import_id) == "already ended"
        sync.correct_row(import_id, 2, {"title": "Mended"})
        again = sync.wait_for_import(sync.retry_import(import_id))
        assert (again.status, again.retry_of, again.success_count) == ("Completed", import_id, 1)
        with pytest.raises(RowsRetried):
            sync.retry_import(import_id)
        tried = sync.import_file(BOOKS, b"title\nPersuasion\n", user="ada", results=True)
        assert sync.wait_for_import(tried).status == "Completed"
        assert [result.outcome for result in sync.import_results(tried)] == ["created"]
        file = io.BytesIO()
        assert sync.export(BOOKS, file, search="Emma") == len(file.getvalue())
        assert file.getvalue().startswith(b"title")
        assert file.getvalue().count(b"\n") == 2
        undone = sync.undo_import(tried).undone
        assert undone is not None
        assert undone["removed"] == 1
        with pytest.raises(AlreadyUndone):
            sync.undo_import(tried)
        with pytest.raises(JobNotFound):
            sync.undo_import(tried + 1)
        later = datetime.now(UTC) + timedelta(days=1)
        waiting = sync.import_file(BOOKS, b"title\nLater\n", user="ada", start_at=later)
        assert sync.cancel_import(waiting, rollback=True) == "cancelled"
        assert sync.get_import(waiting + 1) is None


def test_a_job_belongs_to_djangos_transaction(shop: Bulkport) -> None:
    if not settings.configured:
        settings.configure()
    parts = conninfo_to_dict(shop.database_url)
    options = {"NAME": parts["dbname"], "USER": parts["user"], "HOST": parts.get("host", "")}
    options |= {"PORT": parts.get("port", ""), "PASSWORD": parts.get("password", "")}
    django = ConnectionHandler({"default": {"ENGINE": "django.db.backends.postgresql", **options}})["default"]
    double = shop.tasks["double"]
    django.set_autocommit(False)
    shop.sync.enqueue(double, 1, connection=django)
    django.rollback()
    kept = shop.sync.enqueue(double, 2, connection=django)
    django.commit()
    django.close()
    with shop.sync.connect() as sync:
        assert [job.id for job in sync.search(JobQuery()).items] == [kept]


def test_users_can_be_text_uuids_or_integers(shop: Bulkport) -> None:
    double = shop.tasks["double"]
    with shop.sync.connect() as sync:
        for user in ("ada", UUID(int=7), 7):
            import_id = sync.import_file(BOOKS, b"title\nEmma\n", user=user)
            job = sync.get_import(import_id)
            assert job is not None
            assert job.user_id == str(user)
            job_id = sync.enqueue(double.options(user_id=user), 1)
            assert [job.id for job in sync.search(JobQuery(task="double", user_id=user)).items] == [job_id]
        for nobody in (None, "", b"ada", True):
            with pytest.raises((TypeError, ValueError), match="the id of a user is"):
                sync.import_file(BOOKS, b"title\nEmma\n", user=nobody)  # type: ignore[arg-type]


def test_a_database_that_refuses_connections_is_reported_at_once(shop: Bulkport) -> None:
    shop.database_url = shop.database_url.replace("/test_", "/no_such_")
    words = 'refuses the connection; check the URL.*database "no_such_.*" does not exist'
    with shop.sync.connect() as sync:
        with pytest.raises(DatabaseRefused, match=words):
            sync.enqueue(shop.tasks["double"], 1)
        with pytest.raises(DatabaseRefused, match=words):
            sync.count(JobQuery())
    with pytest.raises(DatabaseRefused, match=words):
        asyncio.run(shop.run_worker(asyncio.Event()))


def test_calls_work_in_many_threads_and_inside_a_running_event_loop(shop: Bulkport) -> None:
    double = shop.tasks["double"]
    with shop.sync.connect() as sync:
        job_id = sync.enqueue(double, 1)
        seen: list[object] = []
        threads = [threading.Thread(target=lambda: seen.append(sync.get(job_id))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 8

        async def inside() -> object:
            async with shop.connect():
                return await shop.get(job_id), sync.get(job_id)

        both = asyncio.run(inside())
        assert both == (seen[0], seen[0])


def test_errors_name_what_is_missing(shop: Bulkport, database_url: str) -> None:
    with pytest.raises(NotConnected, match=r"with bulkport\.sync\.connect\(\)"):
        shop.sync.get("1")  # type: ignore[arg-type]
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP SCHEMA bulkport CASCADE")
    with shop.sync.connect() as sync:
        for _ in range(2):
            with pytest.raises(MigrationsMissing, match="Run: bulkport migrate"):
                sync.get("1")  # type: ignore[arg-type]
