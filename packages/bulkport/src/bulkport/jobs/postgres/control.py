"""Orders to jobs, and pausing and limiting queues."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, LiteralString, Protocol, Unpack

from bulkport.database import DEFAULT_SCHEMA
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection, Statements
from bulkport.jobs.errors import NotConnected
from bulkport.jobs.port.control import (
    Actor,
    Cancel,
    Change,
    Delete,
    Effect,
    JobControl,
    Order,
    OrderResult,
    OrderSummary,
    Requeue,
    Reschedule,
    RunNow,
)
from bulkport.jobs.port.metrics import ServerCommand
from bulkport.jobs.port.query import JobIds, JobQuery
from bulkport.jobs.port.queueing import is_integer, require_queue_name, require_task_name
from bulkport.jobs.postgres.rows import job_id_of, number_of
from bulkport.jobs.postgres.stacks import ASK_STACK, MOST_PROFILE_SECONDS
from bulkport.keywords import require_known
from bulkport.pools import AsyncPool
from bulkport.sanitize import storable_text

JOBS_A_TRANSACTION: Final = 500
"""Jobs that a bulk command locks at a time."""
_MOST_NOTE_LENGTH: Final = 2_000

# See sql/control.sql.
_STATEMENTS: Final[Mapping[type[Order], LiteralString]] = {
    Cancel: "SELECT job_id, what, NULL::bigint AS new_job_id FROM bulkport.cancel(%(ids)s, %(reason)s, %(actor)s)",
    Delete: "SELECT job_id, what, NULL::bigint AS new_job_id FROM bulkport.delete_jobs(%(ids)s, %(reason)s, %(actor)s)",
    Requeue: "SELECT job_id, what, new_job_id FROM bulkport.requeue(%(ids)s, %(reason)s, %(actor)s)",
    RunNow: "SELECT job_id, what, NULL::bigint AS new_job_id FROM bulkport.run_now(%(ids)s, %(reason)s, %(actor)s)",
    Reschedule: (
        "SELECT job_id, what, NULL::bigint AS new_job_id FROM bulkport.reschedule("
        "%(ids)s, %(at)s::timestamptz, %(delay)s::double precision, %(reason)s, %(actor)s)"
    ),
    Change: (
        "SELECT job_id, what, NULL::bigint AS new_job_id FROM bulkport.change("
        "%(ids)s, %(priority)s::integer, %(queue)s, %(reason)s, %(actor)s)"
    ),
}

# A server asked to stop accepts no other command. Commands for dead servers are removed on the way.
_COMMAND_SERVER: Final[LiteralString] = """
WITH target AS (
    SELECT server.worker_id FROM bulkport.servers server
    WHERE server.name = %(name)s AND NOT EXISTS (
        SELECT FROM bulkport.server_commands given WHERE given.worker_id = server.worker_id AND given.wanted = 'stop')
), cleared AS (
    DELETE FROM bulkport.server_commands WHERE worker_id IN (
        SELECT old.worker_id FROM bulkport.server_commands old
        WHERE NOT EXISTS (SELECT FROM bulkport.servers living WHERE living.worker_id = old.worker_id)
        FOR UPDATE SKIP LOCKED)
), resumed AS (
    DELETE FROM bulkport.server_commands
    WHERE %(wanted)s::text IS NULL AND worker_id IN (SELECT target.worker_id FROM target)
), asked AS (
    INSERT INTO bulkport.server_commands AS given (worker_id, wanted, wanted_by)
    SELECT target.worker_id, %(wanted)s::text, %(actor)s::text FROM target WHERE %(wanted)s::text IS NOT NULL
    ON CONFLICT (worker_id) DO UPDATE SET wanted = EXCLUDED.wanted, wanted_by = EXCLUDED.wanted_by
    WHERE given.wanted <> 'stop'
)
SELECT worker_id FROM target
"""


class IdFinder(Protocol):
    """What finds the jobs of orders by query."""

    async def ids(self, query: JobQuery, *, after: str | None = None, limit: int = 500) -> JobIds:
        """See `JobReader.ids`."""
        ...


class JobController(JobControl):
    """A `JobControl` on the engine's functions.

    Parameters
    ----------
    pool
        For calls that are given no connection; its connections are autocommit ones.
    finder
        Finds the jobs of orders by query; not needed for others.
    schema
        Where the tables are, for connections of callers.
    """

    def __init__(
        self, pool: AsyncPool | None = None, finder: IdFinder | None = None, *, schema: str = DEFAULT_SCHEMA
    ) -> None:
        self._statements = Statements(pool, schema)
        self._finder = finder

    async def order(
        self, order: Order, job_ids: Iterable[BackgroundJobId], connection: "AnyConnection | None" = None
    ) -> list[OrderResult]:
        numbers = {job_id: number_of(job_id) for job_id in job_ids}
        known = sorted({number for number in numbers.values() if number is not None})
        rows: dict[int | None, tuple[Effect, BackgroundJobId | None]] = {None: (Effect.UNKNOWN, None)}
        if known:
            arguments = _arguments(order) | {"ids": known}
            for row in await self._statements.fetch(_STATEMENTS[type(order)], arguments, connection):
                new = row["new_job_id"]
                rows[row["job_id"]] = Effect(row["what"]), None if new is None else job_id_of(new)
        return [OrderResult(job_id, *rows[number]) for job_id, number in numbers.items()]

    async def order_all(self, order: Order, query: JobQuery) -> OrderSummary:
        if self._finder is None:
            raise NotConnected
        effects: Counter[Effect] = Counter()
        cursor: str | None = None
        while True:
            page = await self._finder.ids(query, after=cursor, limit=JOBS_A_TRANSACTION)
            effects.update(result.effect for result in await self.order(order, page.ids))
            cursor = page.next_cursor
            if cursor is None:
                return OrderSummary(dict(effects))

    async def pause_queue(self, name: str, *, note: str | None = None, **by: Unpack[Actor]) -> None:
        await self._set("SELECT bulkport.pause_queue(%(name)s, %(actor)s, %(value)s)", name, _note(note), by)

    async def resume_queue(self, name: str, **by: Unpack[Actor]) -> None:
        await self._set("SELECT bulkport.resume_queue(%(name)s, %(actor)s)", name, None, by)

    async def pause_task(self, task: str, *, note: str | None = None, **by: Unpack[Actor]) -> None:
        await self._set_task("SELECT bulkport.pause_task(%(task)s, %(actor)s, %(note)s)", task, note, by)

    async def resume_task(self, task: str, **by: Unpack[Actor]) -> None:
        await self._set_task("SELECT bulkport.resume_task(%(task)s)", task, None, by)

    async def limit_queue(self, name: str, most: int | None, **by: Unpack[Actor]) -> None:
        if most is not None and (not is_integer(most) or most < 1):
            raise ValueError("a queue that is to run no job is paused; a limit is a whole number from 1 on")
        await self._set("SELECT bulkport.limit_queue(%(name)s, %(value)s::integer, %(actor)s)", name, most, by)

    async def weigh_queue(self, name: str, weight: float, **by: Unpack[Actor]) -> None:
        if not 0.001 <= weight <= 1_000:
            raise ValueError(f"the weight of a queue is a number from 0.001 to 1,000: {weight}")
        await self._set("SELECT bulkport.weigh_queue(%(name)s, %(value)s::float8, %(actor)s)", name, weight, by)

    async def ask_stack(self, job_id: BackgroundJobId, *, seconds: float = 0.0, **by: Unpack[Actor]) -> bool:
        require_known(by, Actor.__optional_keys__, "an order to a job")
        if not 0 <= seconds <= MOST_PROFILE_SECONDS:
            raise ValueError(f"a job is looked at for up to {MOST_PROFILE_SECONDS:g} s: {seconds}")
        number = number_of(job_id)
        if number is None:
            return False
        arguments = {"job_id": number, "seconds": float(seconds), "actor": _note(by.get("actor"))}
        return bool(await self._statements.fetch(ASK_STACK, arguments, by.get("connection")))

    async def command_server(self, name: str, command: ServerCommand | None, **by: Unpack[Actor]) -> bool:
        require_known(by, Actor.__optional_keys__, "an order to a server")
        arguments = {"name": storable_text(name), "wanted": command, "actor": _note(by.get("actor"))}
        return bool(await self._statements.fetch(_COMMAND_SERVER, arguments, by.get("connection")))

    async def _set(self, query: LiteralString, name: str, value: str | float | None, by: Actor) -> None:
        """Set something of a queue."""
        require_known(by, Actor.__optional_keys__, "an order to a queue")
        require_queue_name(name)
        arguments = {"name": name, "value": value, "actor": _note(by.get("actor"))}
        await self._statements.fetch(query, arguments, by.get("connection"))

    async def _set_task(self, query: LiteralString, task: str, note: str | None, by: Actor) -> None:
        require_known(by, Actor.__optional_keys__, "an order to a task")
        require_task_name(task)
        arguments = {"task": storable_text(task), "note": _note(note), "actor": _note(by.get("actor"))}
        await self._statements.fetch(query, arguments, by.get("connection"))


def _note(text: str | None) -> str | None:
    """A reason or a name, as PostgreSQL can store it."""
    return None if text is None else storable_text(text, _MOST_NOTE_LENGTH)


def _arguments(order: Order) -> dict[str, Any]:
    arguments: dict[str, Any] = {"reason": _note(order.reason), "actor": _note(order.actor)}
    match order:
        case Reschedule():
            arguments |= {"at": order.at, "delay": order.delay}
        case Change():
            arguments |= {"priority": order.priority, "queue": order.queue}
    return arguments
