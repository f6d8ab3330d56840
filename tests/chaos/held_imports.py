"""Imports that cannot end before a test lets them: whatever it does to them meanwhile needs no luck with the clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from command_processes import Site

# A row of a table and no advisory lock, so that it outlives a crash of the database and is part of a dump.
_GATE = """
    CREATE TABLE IF NOT EXISTS held_back (state text PRIMARY KEY);
    CREATE OR REPLACE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.chunk_number = (SELECT total_chunks - 1 FROM bulkport.bulk_import_jobs WHERE id = NEW.job_id) THEN
            WHILE EXISTS (SELECT FROM held_back WHERE state = NEW.state) LOOP
                PERFORM pg_sleep(0.005);
            END LOOP;
        END IF;
        RETURN NEW;
    END $$;
    CREATE OR REPLACE TRIGGER hold_back BEFORE UPDATE ON bulkport.import_chunks
    FOR EACH ROW WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION hold_back();
"""


@contextmanager
def held_back(site: Site, state: str = "done") -> Iterator[Callable[[], None]]:
    """Sets the last chunk of an import to this state when the yielded function is called, or at the end."""

    def let_go() -> None:
        site.rows("DELETE FROM held_back WHERE state = %s", state)

    site.rows(_GATE)
    site.rows("INSERT INTO held_back VALUES (%s)", state)
    try:
        yield let_go
    finally:
        site.reconnect()
        let_go()
