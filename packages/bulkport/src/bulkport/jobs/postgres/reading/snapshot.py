"""Reading from one snapshot of the database, for a bounded time."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection, sql
from psycopg.errors import QueryCanceled
from psycopg.rows import DictRow, dict_row

from bulkport.database.tolerant import fetch_tolerantly
from bulkport.jobs.errors import SearchTookTooLong
from bulkport.jobs.postgres.reading.queries import Statement
from bulkport.pools import AsyncPool


class Snapshot:
    """What statements see while one reading lasts: all of them the same."""

    def __init__(self, connection: AsyncConnection[Any], silent_seconds: float) -> None:
        self._connection = connection
        self.silent_seconds = silent_seconds
        """Age of the last heartbeat from which on a server is shown as not responding."""

    async def fetch_all(
        self, query: sql.SQL | sql.Composed, arguments: Mapping[str, Any] | None = None
    ) -> list[DictRow]:
        """Run a statement and return its rows."""
        return await fetch_tolerantly(
            lambda: self._connection.cursor(row_factory=dict_row),
            lambda cursor: cursor.execute(query, arguments, prepare=False),
        )

    async def fetch_one(self, query: sql.SQL, arguments: Mapping[str, Any] | None = None) -> DictRow | None:
        """Run a statement and return its first row."""
        rows = await self.fetch_all(query, arguments)
        return rows[0] if rows else None

    async def find_each(self, statements: Iterable[Statement]) -> list[list[DictRow]]:
        """Run statements that find jobs, all with the same columns and arguments, and return the rows of each.

        They go to the server as one: a list of jobs asks for each state by itself. They are planned with the values
        they have: a plan made once for all values would read too much for some.
        """
        asked = list(statements)
        if not asked:
            return []
        text = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} AS part, each.* FROM ({}) AS each").format(part, statement.text)
            for part, statement in enumerate(asked)
        )
        found: list[list[DictRow]] = [[] for _ in asked]
        for row in await self.fetch_all(text, asked[0].arguments):
            found[row.pop("part")].append(row)
        return found

    async def try_to_gather(self, statement: Statement, most_seconds: float) -> list[DictRow] | None:
        """Run a statement that gathers jobs, by bitmaps only; None: it took too long.

        Left to itself the planner would rather walk along an index and hope to meet enough jobs soon.
        """
        try:
            # Rolled back, as the settings must not stay.
            async with self._connection.transaction(force_rollback=True):
                await self._connection.execute(
                    sql.SQL("{}; {}").format(_timeout(most_seconds), _BY_BITMAPS), prepare=False
                )
                rows = (await self.find_each([statement]))[0]
        except QueryCanceled:
            return None
        return rows


SnapshotSource: TypeAlias = Callable[[], AbstractAsyncContextManager[Snapshot]]
"""Opens a snapshot, or hands out one that is open."""


@asynccontextmanager
async def open_snapshot(pool: AsyncPool, most_seconds: float, silent_seconds: float) -> AsyncIterator[Snapshot]:
    """A snapshot to read from.

    Parameters
    ----------
    most_seconds
        How long one statement may take.
    silent_seconds
        See `Snapshot.silent_seconds`.

    Raises
    ------
    SearchTookTooLong
        A statement took longer and was ended.
    """
    with _given_up_in_time():
        # Not in pipeline mode: a reading that is cancelled could not leave it.
        async with pool.connection() as connection, connection.transaction():
            await connection.execute(
                sql.SQL(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL timezone = 'UTC'; {}"
                ).format(_timeout(most_seconds)),
                prepare=False,
            )
            yield Snapshot(connection, silent_seconds)


@asynccontextmanager
async def share_snapshot(snapshot: Snapshot) -> AsyncIterator[Snapshot]:
    """A snapshot that is open, for one of several readings. Raises as `open_snapshot`."""
    with _given_up_in_time():
        yield snapshot


@contextmanager
def _given_up_in_time() -> Iterator[None]:
    try:
        yield
    except QueryCanceled as error:
        raise SearchTookTooLong from error


_BY_BITMAPS: Final = sql.SQL(
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off"
)


def _timeout(seconds: float) -> sql.Composed:
    return sql.SQL("SET LOCAL statement_timeout = {}").format(max(1, round(seconds * 1000)))
