"""The migrations go up and down, once each, and leave nothing behind."""

import psycopg
import pytest

from commandapi import migrations
from commandapi.cli.database import ProvidedDatabase
from forked_processes import ForkedProcess

# An extension stays: others may use it, and who installed it is not known.
_LEFT_OVER = """
    SELECT name FROM (
        SELECT oid, relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT oid, proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT oid, typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typelem = 0
        UNION ALL SELECT oid, nspname FROM pg_namespace WHERE nspname = 'bulkport'
    ) AS object
    WHERE name NOT LIKE 'alembic_version%' AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype = 'e')
"""


def test_a_migrated_database_is_at_head(database_url: str) -> None:
    state = migrations.state(database_url)
    assert state.is_current
    assert state.current is not None


def test_downgrading_leaves_nothing_and_upgrading_works_again(database_url: str) -> None:
    assert migrations.downgrade(database_url).current is None
    with psycopg.connect(database_url) as connection:
        assert connection.execute(_LEFT_OVER).fetchall() == []
    assert migrations.upgrade(database_url).is_current


def test_one_step_down_and_up_works(database_url: str) -> None:
    head = migrations.state(database_url).current
    assert migrations.downgrade(database_url, "-1").current != head
    assert migrations.upgrade(database_url).current == head


def test_a_database_of_another_version_is_rejected_and_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    with pytest.raises(migrations.MigrationFailed, match=r"revision 0003, which this version does not know.*DATA_DIR"):
        migrations.upgrade(database_url)
    assert migrations.state(database_url).current == "0003"


@pytest.mark.parametrize(
    "earlier",
    [
        "UPDATE alembic_version_checksums SET checksum = 'of an earlier state' WHERE revision = '0012'",
        "DELETE FROM alembic_version_checksums WHERE revision = '0012'",
        "DROP TABLE alembic_version_checksums",
        "UPDATE bulkport.migrations SET checksum = 'of an earlier state' WHERE version = 2",
    ],
)
def test_tables_of_a_changed_migration_are_rejected_and_can_be_recreated(database_url: str, earlier: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(earlier)
    for attempt in (lambda: migrations.upgrade(database_url), ProvidedDatabase(database_url, None).ensure_migrated):
        with pytest.raises(migrations.MigrationFailed, match=r"another state of the migrations 00.*db downgrade base"):
            attempt()
    assert migrations.downgrade(database_url).current is None
    assert migrations.upgrade(database_url).changed == ()


def test_three_processes_can_migrate_concurrently(database_url: str) -> None:
    migrations.downgrade(database_url)
    program = "import sys; from commandapi import migrations; migrations.upgrade(sys.argv[1])"
    processes = [ForkedProcess(["-c", program, database_url]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert migrations.state(database_url).is_current
