"""The library's migrations run on every kind of connection, in the caller's transaction, and back."""

import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg import sql
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import create_async_engine

from bulkport import Bulkport, JobQuery, JobState, Resource, RetryPolicy, migrations
from bulkport.database import cursor_classes
from bulkport.migrations.errors import MigrationError, MigrationsChanged, MigrationsMissing, UnsupportedEncoding
from bulkport.testing import drain, import_file
from forked_processes import ForkedProcess

_OBJECTS = """
    SELECT name FROM (
        SELECT oid, relname AS name, relnamespace AS namespace FROM pg_class
        UNION ALL SELECT oid, proname, pronamespace FROM pg_proc
    ) AS object
    WHERE namespace IN ('public'::regnamespace, to_regnamespace('bulkport'))
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype = 'e')
    ORDER BY name
"""


class Book(BaseModel):
    title: str


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """A database without any tables."""
    name = f"empty_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield _in_database(server_url, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _in_database(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def _version(url: str) -> int:
    with psycopg.connect(url) as connection:
        return migrations.current(connection)


def _objects(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute(_OBJECTS)]


def _alchemy(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://").replace("postgres://", f"postgresql+{driver}://")


def test_upgrading_and_downgrading_from_each_version_is_symmetric(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        assert [step.version for step in migrations.pending(connection)] == [1, 2, 3]
        seen = {0: _objects(empty_url)}
        for version in range(1, migrations.latest() + 1):
            assert migrations.upgrade(connection, to=version) == version
            seen[version] = _objects(empty_url)
        assert migrations.pending(connection) == []
        for version in range(migrations.latest() - 1, -1, -1):
            assert migrations.downgrade(connection, to=version) == version
            assert _objects(empty_url) == seen[version]
        for version in range(1, migrations.latest() + 1):
            migrations.upgrade(connection, to=version)
            migrations.downgrade(connection)
            assert _objects(empty_url) == seen[0]


def test_objects_of_others_with_similar_names_survive_a_downgrade(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        migrations.upgrade(connection)
        connection.execute("CREATE TABLE bulkport.theirs (id int); CREATE TABLE public.import_chunks (id int)")
        migrations.downgrade(connection)
        connection.execute("SELECT FROM bulkport.theirs, public.import_chunks")


async def test_psycopg_async_connections_can_upgrade(empty_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_url) as connection:
        assert await migrations.upgrade(connection) == migrations.latest()
    assert _version(empty_url) == migrations.latest()


def test_sqlalchemy_on_psycopg_upgrades_in_its_transaction(empty_url: str) -> None:
    engine = sqlalchemy.create_engine(_alchemy(empty_url, "psycopg"))
    with engine.connect() as connection:
        migrations.upgrade(connection)
        connection.rollback()
        assert migrations.current(connection) == 0
        connection.rollback()
    with engine.begin() as connection:
        migrations.upgrade(connection)
    engine.dispose()
    assert _version(empty_url) == migrations.latest()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_sqlalchemy_async_upgrades_in_its_transaction(empty_url: str, driver: str) -> None:
    engine = create_async_engine(_alchemy(empty_url, driver))
    async with engine.connect() as connection:
        await migrations.upgrade(connection, to=2)
        await connection.rollback()
        assert await migrations.current(connection) == 0
        await connection.rollback()
    async with engine.begin() as connection:
        # As Alembic's op.get_bind() in a template for async engines.
        await connection.run_sync(lambda bind: migrations.upgrade(bind, to=2))
        await migrations.upgrade(connection)
    await engine.dispose()
    assert _version(empty_url) == migrations.latest()


def test_the_generated_scripts_do_the_same(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute(migrations.upgrade_sql(2).encode())
        connection.execute(migrations.upgrade_sql(start=2).encode())
    assert _version(empty_url) == migrations.latest()
    with psycopg.connect(empty_url) as connection:
        connection.execute(migrations.downgrade_sql().encode())
    assert _objects(empty_url) == []


def test_scripts_without_a_change_are_rejected() -> None:
    for make in (
        lambda: migrations.upgrade_sql(99),
        lambda: migrations.upgrade_sql(1, start=2),
        lambda: migrations.downgrade_sql(3, start=2),
        lambda: migrations.downgrade_sql(-1),
    ):
        with pytest.raises(MigrationError, match="version"):
            make()


def test_alembic_offline_mode_writes_a_script_for_any_current_version(empty_url: str) -> None:
    def script(work: Callable[[sqlalchemy.Connection], object]) -> bytes:
        written = io.StringIO()
        options = {"as_sql": True, "output_buffer": written}
        context = MigrationContext.configure(dialect_name="postgresql", opts=options)
        with Operations.context(context) as operations:
            work(operations.get_bind())
        return written.getvalue().encode()

    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(script(lambda bind: migrations.upgrade(bind, to=2)))
        assert migrations.current(connection) == 2
        for _ in range(2):
            connection.execute(script(migrations.upgrade))
            assert migrations.current(connection) == migrations.latest()
        assert migrations.changed(connection) == []
        connection.execute(script(lambda bind: migrations.downgrade(bind, to=1)))
        assert migrations.current(connection) == 1
        connection.execute(script(migrations.downgrade))
    assert _objects(empty_url) == []


_EXPAND = """
DO $$ DECLARE one regclass; BEGIN
    FOR one IN SELECT oid FROM pg_class
               WHERE relnamespace = 'bulkport'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN of_a_newer_version integer NOT NULL DEFAULT 1', one);
    END LOOP;
END $$;
CREATE TABLE bulkport.of_a_newer_version (id bigint PRIMARY KEY);
INSERT INTO bulkport.migrations (version, name) VALUES (99, 'of a newer version');
"""


async def test_this_version_works_on_tables_expanded_by_a_newer_one(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        migrations.upgrade(connection)
        connection.execute("CREATE TABLE books (id serial PRIMARY KEY, title text UNIQUE NOT NULL)")
        connection.execute(_EXPAND)
    books = Resource(name="books", label="Book", label_field="title", model=Book, table="books")
    bulkport = Bulkport(empty_url, resources=[books])

    @bulkport.task(name="divide", retry=RetryPolicy(max_attempts=2, base_seconds=0.01))
    async def divide(left: int, right: int) -> float:
        return left / right

    async with bulkport.connect():
        first = await bulkport.enqueue(divide, 6, 3)
        await bulkport.continue_with(first, divide.options(unique_key="one", tags=["even"]).call(8, 2))
        failing = await bulkport.schedule(divide.options(concurrency_key="zero", user_id=7), 1, 0, in_=0.01)
        async with bulkport.batch("two") as batch:
            batch.add(divide, 1, 1)
            batch.then(divide.call(2, 1))
        await bulkport.recurring.add_or_update("nightly", divide.call(1, 1), cron="0 3 * * *")
        await bulkport.cancel(await bulkport.schedule(divide, 9, 9, in_=3600))
        drained = await drain(bulkport, with_scheduled=True)
        assert (drained.succeeded, drained.failed) == (4, 1)
        details = await bulkport.details(failing)
        assert details is not None
        assert len(details.runs) == 2
        assert (await bulkport.count(JobQuery(tag="even"))).jobs == 1
        assert (await bulkport.statistics()).states[JobState.SUCCEEDED] == 4
        assert (await bulkport.requeue(failing)).effect.is_done
    result = await import_file(bulkport, books, b"title\nEmma\nEmma\nPersuasion\n")
    assert (result.succeeded, result.failed, [error.row for error in result.errors]) == (2, 1, [2])


def test_the_schema_can_have_another_name(empty_url: str) -> None:
    with psycopg.connect(empty_url, cursor_factory=cursor_classes("etl")[0]) as connection:
        migrations.upgrade(connection, schema="etl")
        assert migrations.current(connection, schema="etl") == migrations.latest()
        connection.execute("SELECT FROM bulkport.bulk_import_jobs")
        with pytest.raises(psycopg.errors.InvalidSchemaName), connection.transaction():
            connection.execute(b"LOCK TABLE bulkport.bulk_import_jobs; DROP SCHEMA etl_not_there")
        assert connection.execute("SELECT to_regclass('etl.import_chunks')").fetchone() != (None,)
        migrations.downgrade(connection, schema="etl")


def _without_extension(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Simulate a server without the extension."""
    script = migrations.upgrade_sql()
    assert "EXTENSION IF NOT EXISTS pg_trgm" in script
    connection.execute(script.replace("EXTENSION IF NOT EXISTS pg_trgm", "EXTENSION IF NOT EXISTS no_such").encode())


def _as_a_role_that_may_make_nothing(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """In a schema that somebody made for the role: neither schema nor extension can be made."""
    role = sql.Identifier(f"owner_{uuid.uuid4().hex[:12]}")
    connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    connection.execute(sql.SQL("CREATE SCHEMA bulkport AUTHORIZATION {}").format(role))
    connection.execute(sql.SQL("SET ROLE {}").format(role))
    try:
        migrations.upgrade(connection)
    finally:
        connection.execute("RESET ROLE")
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize("migrate", [_without_extension, _as_a_role_that_may_make_nothing])
async def test_search_works_without_the_extension_and_says_so(
    empty_url: str, migrate: Callable[[psycopg.Connection[tuple[object, ...]]], None]
) -> None:
    notices: list[str] = []
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        migrate(connection)
    assert "pg_trgm is not available: searching texts of jobs takes longer" in notices
    bulkport = Bulkport(empty_url)

    @bulkport.task(name="greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    async with bulkport.connect():
        await bulkport.enqueue(greet, "Ada")
        await bulkport.enqueue(greet, "Grace")
        await drain(bulkport)
        page = await bulkport.search(JobQuery(text="grace"))
    assert [job.args for job in page.items] == [{"name": "Grace"}]
    assert "pg_trgm is not installed" in (page.notice or "")


def test_a_role_that_may_not_create_the_schema_is_reported(empty_url: str) -> None:
    role = sql.Identifier(f"guest_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {0}; SET ROLE {0}").format(role))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for database"):
            migrations.upgrade(connection)
        connection.execute("RESET ROLE")
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_three_processes_can_upgrade_concurrently(empty_url: str) -> None:
    program = (
        "import sys, psycopg; from bulkport import migrations\n"
        "with psycopg.connect(sys.argv[1]) as connection: migrations.upgrade(connection)"
    )
    processes = [ForkedProcess(["-c", program, empty_url]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert _version(empty_url) == migrations.latest()


def test_an_unknown_version_is_rejected(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection, pytest.raises(MigrationError, match="There is no version 99"):
        migrations.upgrade(connection, to=99)


async def test_the_check_names_the_command_and_accepts_newer_schemas(empty_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_url, autocommit=True) as connection:
        with pytest.raises(MigrationsMissing, match=r"schema bulkport .* does not exist.* Run: bulkport migrate"):
            await migrations.check(connection)
        await migrations.upgrade(connection, to=2)
        with pytest.raises(MigrationsMissing, match="is at version 2; this version needs 3"):
            await migrations.check(connection)
        await migrations.upgrade(connection)
        await connection.execute("INSERT INTO bulkport.migrations (version, name) VALUES (99, 'of a newer version')")
        await migrations.check(connection)


@pytest.mark.parametrize(
    "earlier",
    [
        "UPDATE bulkport.migrations SET checksum = 'of an earlier state' WHERE version = 2",
        "UPDATE bulkport.migrations SET checksum = NULL WHERE version = 2",
    ],
)
async def test_tables_of_a_changed_migration_are_rejected_and_can_be_recreated(empty_url: str, earlier: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_url, autocommit=True) as connection:
        await migrations.upgrade(connection)
        await connection.execute(earlier)
        assert [one.name for one in await migrations.changed(connection)] == ["imports"]
        what_to_do = (
            r"another state of the migrations 2 \(imports\).*bulkport migrate \S+ --down, then bulkport migrate"
        )
        with pytest.raises(MigrationsChanged, match=what_to_do):
            await migrations.check(connection)
        with pytest.raises(MigrationsChanged, match=what_to_do):
            await migrations.upgrade(connection)
        await migrations.downgrade(connection)
        await migrations.upgrade(connection)
        await migrations.check(connection)


def test_tables_without_checksums_are_rejected_and_can_be_dropped(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        migrations.upgrade(connection)
        connection.execute("ALTER TABLE bulkport.migrations DROP COLUMN checksum")
        connection.execute("DROP TABLE bulkport.webhooks CASCADE; DROP VIEW bulkport.all_jobs CASCADE")
        with pytest.raises(MigrationsChanged, match=r"1 \(jobs\), 2 \(imports\), 3 \(dashboard\)"):
            migrations.check_sync(connection)
        migrations.downgrade(connection)
        assert _objects(empty_url) == []
        migrations.upgrade(connection)
        migrations.check_sync(connection)


def test_comments_of_a_migration_can_change() -> None:
    one = migrations.Migration(1, "one", "CREATE TABLE a (b int);", "")
    assert replace(one, up="-- A table.\nCREATE TABLE a (b int);  -- with a column\n").checksum == one.checksum
    assert replace(one, up="CREATE TABLE a (b bigint);").checksum != one.checksum


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_only_a_sql_ascii_database_is_rejected(server_url: str, encoding: str) -> None:
    name = f"encoded_{uuid.uuid4().hex}"
    statement = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(encoding)))
        with psycopg.connect(_in_database(server_url, name), client_encoding="utf8") as encoded:
            migrations.upgrade(encoded)
            if encoding == "LATIN1":
                migrations.check_sync(encoded)
            else:
                with pytest.raises(UnsupportedEncoding, match="encoding is SQL_ASCII, which keeps bytes"):
                    migrations.check_sync(encoded)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_autogenerate_leaves_the_tables_alone(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        migrations.upgrade(connection)
    engine = sqlalchemy.create_engine(_alchemy(empty_url, "psycopg"))

    def differences(**options: object) -> list[object]:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_schemas": True, **options})
            found: list[object] = compare_metadata(context, sqlalchemy.MetaData())
            return [change for change in found if "bulkport" in repr(change)]

    assert differences()
    assert differences(include_object=migrations.include_object) == []
    engine.dispose()
