"""Two versions of the library, of which the newer has added to the tables, side by side on one database."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import bulkport as library
from bulkport import Bulkport

HERE = Path(__file__).parent
OLDER = Path(library.__file__).parent
ADDED = """
ALTER TABLE bulkport.jobs ADD COLUMN note text;
ALTER TABLE bulkport.finished_jobs ADD COLUMN note text NOT NULL DEFAULT '';
ALTER TABLE bulkport.servers ADD COLUMN note text;
ALTER TABLE bulkport.recurring_jobs ADD COLUMN note text;
ALTER TABLE bulkport.rate_limits ADD COLUMN note text;
ALTER TABLE bulkport.bulk_import_jobs ADD COLUMN note text;
ALTER TABLE bulkport.import_chunks ADD COLUMN note text;
CREATE INDEX jobs_note ON bulkport.jobs (note);
CREATE TABLE bulkport.notes (note text PRIMARY KEY);
CREATE FUNCTION bulkport.note(what text) RETURNS text LANGUAGE sql AS $$ SELECT what $$;
"""
TAKEN_BACK = """
DROP FUNCTION bulkport.note(text);
DROP TABLE bulkport.notes;
ALTER TABLE bulkport.jobs DROP COLUMN note;
ALTER TABLE bulkport.finished_jobs DROP COLUMN note;
ALTER TABLE bulkport.servers DROP COLUMN note;
ALTER TABLE bulkport.recurring_jobs DROP COLUMN note;
ALTER TABLE bulkport.rate_limits DROP COLUMN note;
ALTER TABLE bulkport.bulk_import_jobs DROP COLUMN note;
ALTER TABLE bulkport.import_chunks DROP COLUMN note;
"""


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The library with one more migration."""
    package = tmp_path / "newer" / "bulkport"
    shutil.copytree(OLDER, package, ignore=shutil.ignore_patterns("__pycache__", "translations", "static"))
    (package / "migrations" / "0004_note.sql").write_text(ADDED)
    (package / "migrations" / "0004_note.down.sql").write_text(TAKEN_BACK)
    files = package / "migrations" / "files.py"
    known = files.read_text()
    assert '_read(3, "dashboard"))' in known
    files.write_text(known.replace('_read(3, "dashboard"))', '_read(3, "dashboard"), _read(4, "note"))'))
    return package


def environment(package: Path, url: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{package.parent}{os.pathsep}{HERE}", "DATABASE_URL": url}


def command(package: Path, url: str, *arguments: str) -> str:
    """What a command of a version says."""
    whole = [sys.executable, "-m", "bulkport", *arguments]
    done = subprocess.run(
        whole, env=environment(package, url), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def worker(package: Path, url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bulkport", "worker", "version_shop:bulkport"],
            env=environment(package, url),
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def is_quiet(shop: Bulkport, name: str) -> bool:
    (server,) = [each for each in await shop.servers() if each.name == name]
    return server.wanted is not None


async def eventually(is_so: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.02)


async def test_two_versions_work_side_by_side_before_and_after_the_newer_one_has_migrated(
    database_url: str, newer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE books (title text)")
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.syspath_prepend(str(HERE))
    import version_shop

    shop, who, fail = version_shop.bulkport, version_shop.who, version_shop.fail

    async def ended(job_id: str, state: str = "succeeded") -> object:
        async def has() -> bool:
            job = await shop.get(job_id)
            return job is not None and job.state.is_final

        await eventually(has, f"the end of {job_id}")
        job = await shop.get(job_id)
        assert job is not None
        assert job.state == state, job
        return job.result

    async def all_works(package: Path) -> None:
        """Each kind of work is done, by the workers of this version alone."""
        assert await ended(await shop.enqueue(who)) == str(package)
        failed = await shop.enqueue(fail)
        await ended(failed, "failed")
        await shop.requeue(failed)
        await ended(failed, "failed")
        await ended(await shop.recurring.trigger("nightly"))
        await ended(await shop.schedule(who.options(rate_limit=100, tags=("t",)), in_=0.01))
        import_id = await shop.import_file("books", b"title\nEmma\nPersuasion\n", user="ada", format="csv")
        assert (await shop.wait_for_import(import_id)).success_count == 2

    async def servers(count: int) -> list[str]:
        async def are_there() -> bool:
            return len(await shop.servers()) == count

        await eventually(are_there, f"{count} servers")
        return [server.name for server in await shop.servers()]

    old_log, new_log = tmp_path / "old.log", tmp_path / "new.log"
    async with shop.connect():
        await shop.recurring.add_or_update("nightly", who, cron="0 3 * * *")
        with worker(OLDER, database_url, old_log):
            (old,) = await servers(1)
            await all_works(OLDER)

            command(newer, database_url, "migrate", "version_shop:bulkport")
            await all_works(OLDER)

            with worker(newer, database_url, new_log) as new_process:
                (new,) = set(await servers(2)) - {old}
                await shop.quiet_server(old)
                await eventually(lambda: is_quiet(shop, old), f"{old} quiet")
                await all_works(newer)
                await shop.resume_server(old)
                new_process.kill()
                new_process.wait()
                # The older version takes over what a worker of the newer one had.
                await shop.rescue(new)
                await all_works(OLDER)
            with psycopg.connect(database_url) as connection:
                connection.execute(TAKEN_BACK)
                connection.execute("DELETE FROM bulkport.migrations WHERE version = 4")
            await all_works(OLDER)
    for log in (old_log, new_log):
        # Tracebacks are those of the task that fails as asked.
        said = log.read_text()
        assert "psycopg" not in said, said
        assert "not written" not in said, said
