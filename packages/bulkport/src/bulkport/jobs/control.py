"""What is done to jobs and queues after they were enqueued, as an application asks for it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection, only_psycopg_in
from bulkport.jobs.port.control import (
    Cancel,
    Change,
    Delete,
    JobControl,
    Order,
    OrderResult,
    OrderSummary,
    Requeue,
    Reschedule,
    RunNow,
)
from bulkport.jobs.reading.metrics import ServerCommand
from bulkport.jobs.reading.query import JobQuery


class ControlCalls(Protocol):
    """Orders to jobs and queues; a part of `BackgroundJobs`.

    An order tells what came of it and raises nothing for a job that is not in the state for it: it is safe to repeat,
    and safe against a job that changes meanwhile. `reason` and `actor` are kept in the job's history. `connection` is
    an async one of the caller's, in whose transaction the order takes effect. The orders for all jobs of a query go
    through them in transactions of their own.
    """

    def _control(self) -> JobControl: ...

    async def cancel(
        self,
        job_id: BackgroundJobId,
        *,
        reason: str | None = None,
        actor: str | None = None,
        connection: "AnyConnection | None" = None,
    ) -> OrderResult:
        """End a job: a waiting one at once, a running one when its task heeds the request."""
        return await self._order(Cancel(reason=reason, actor=actor), job_id, connection)

    async def delete(
        self,
        job_id: BackgroundJobId,
        *,
        reason: str | None = None,
        actor: str | None = None,
        connection: "AnyConnection | None" = None,
    ) -> OrderResult:
        """Cancel a job also if it has ended; retention removes it later."""
        return await self._order(Delete(reason=reason, actor=actor), job_id, connection)

    async def requeue(
        self,
        job_id: BackgroundJobId,
        *,
        reason: str | None = None,
        actor: str | None = None,
        connection: "AnyConnection | None" = None,
    ) -> OrderResult:
        """Run a job again that has ended, with its failures forgotten. One that succeeded is repeated by a new job."""
        return await self._order(Requeue(reason=reason, actor=actor), job_id, connection)

    async def run_now(
        self,
        job_id: BackgroundJobId,
        *,
        reason: str | None = None,
        actor: str | None = None,
        connection: "AnyConnection | None" = None,
    ) -> OrderResult:
        """Have a job run at once that waits for its time or its next attempt."""
        return await self._order(RunNow(reason=reason, actor=actor), job_id, connection)

    async def reschedule(
        self,
        job_id: BackgroundJobId,
        *,
        at: datetime | None = None,
        in_: float | timedelta | None = None,
        reason: str | None = None,
        actor: str | None = None,
        connection: "AnyConnection | None" = None,
    ) -> OrderResult:
        """Have a job that has not begun wait for another time: `at` (aware), or `in_` seconds from now.

        Raises
        ------
        ValueError
            Both or neither are given, or the time has no zone.
        """
        delay = in_.total_seconds() if isinstance(in_, timedelta) else in_
        return await self._order(Reschedule(at=at, delay=delay, reason=reason, actor=actor), job_id, connection)

    async def change(
        self,
        job_id: BackgroundJobId,
        *,
        priority: int | None = None,
        queue: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
        connection: "AnyConnection | None" = None,
    ) -> OrderResult:
        """Give a job that has not begun another priority or queue.

        Raises
        ------
        ValueError
            Neither is given, or no queue can have this name.
        """
        order = Change(priority=priority, queue=queue, reason=reason, actor=actor)
        return await self._order(order, job_id, connection)

    async def cancel_all(self, query: JobQuery, *, reason: str | None = None, actor: str | None = None) -> OrderSummary:
        """`cancel` all jobs that a query finds; the answer as text is such as `12 cancelled, 1 already ended`."""
        return await self._control().order_all(Cancel(reason=reason, actor=actor), query)

    async def delete_all(self, query: JobQuery, *, reason: str | None = None, actor: str | None = None) -> OrderSummary:
        """`delete` all jobs that a query finds."""
        return await self._control().order_all(Delete(reason=reason, actor=actor), query)

    async def requeue_all(
        self, query: JobQuery, *, reason: str | None = None, actor: str | None = None
    ) -> OrderSummary:
        """`requeue` all jobs that a query finds."""
        return await self._control().order_all(Requeue(reason=reason, actor=actor), query)

    async def run_all_now(
        self, query: JobQuery, *, reason: str | None = None, actor: str | None = None
    ) -> OrderSummary:
        """`run_now` all jobs that a query finds."""
        return await self._control().order_all(RunNow(reason=reason, actor=actor), query)

    async def order(
        self, order: Order, job_ids: Iterable[BackgroundJobId], *, connection: "AnyConnection | None" = None
    ) -> list[OrderResult]:
        """Do one thing to up to some thousand jobs in one transaction; `OrderSummary.of` sums up what came of it."""
        return await self._control().order(order, job_ids, await only_psycopg_in(connection))

    async def order_all(self, order: Order, query: JobQuery) -> OrderSummary:
        """Do one thing to all jobs that a query finds."""
        return await self._control().order_all(order, query)

    async def pause_queue(
        self,
        name: str,
        *,
        actor: str | None = None,
        note: str | None = None,
        connection: "AnyConnection | None" = None,
    ) -> None:
        """Let no job of a queue start until it is resumed; those that run go on. `note` says why, to whoever looks.

        Raises
        ------
        ValueError
            No queue can have this name.
        """
        await self._control().pause_queue(name, actor=actor, note=note, connection=await only_psycopg_in(connection))

    async def resume_queue(
        self, name: str, *, actor: str | None = None, connection: "AnyConnection | None" = None
    ) -> None:
        """Let a paused queue go on."""
        await self._control().resume_queue(name, await only_psycopg_in(connection), actor=actor)

    async def limit_queue(
        self, name: str, most: int | None, *, actor: str | None = None, connection: "AnyConnection | None" = None
    ) -> None:
        """Let at most `most` jobs of a queue run at one time, on all servers together; None: any number.

        Raises
        ------
        ValueError
            `most` is less than 1, or no queue can have this name.
        """
        await self._control().limit_queue(name, most, await only_psycopg_in(connection), actor=actor)

    async def weigh_queue(
        self, name: str, weight: float, *, actor: str | None = None, connection: "AnyConnection | None" = None
    ) -> None:
        """Give a queue its share of starts where jobs of several queues and one priority wait.

        Of a queue of weight 3, three jobs start for each one of a queue of weight 1, which is what queues begin with.

        Raises
        ------
        ValueError
            `weight` is not from 0.001 to 1,000, or no queue can have this name.
        """
        await self._control().weigh_queue(name, weight, await only_psycopg_in(connection), actor=actor)

    async def quiet_server(
        self, name: str, *, actor: str | None = None, connection: "AnyConnection | None" = None
    ) -> bool:
        """Have a server start no more jobs until it is resumed; those that run go on. False: no such server."""
        return await self._command(name, ServerCommand.QUIET, actor, connection)

    async def resume_server(
        self, name: str, *, actor: str | None = None, connection: "AnyConnection | None" = None
    ) -> bool:
        """Have a quiet server run jobs again."""
        return await self._command(name, None, actor, connection)

    async def stop_server(
        self, name: str, *, actor: str | None = None, connection: "AnyConnection | None" = None
    ) -> bool:
        """Have a server end as on SIGTERM: its running jobs get its grace period. Its supervisor may start another."""
        return await self._command(name, ServerCommand.STOP, actor, connection)

    async def _command(
        self, name: str, command: ServerCommand | None, actor: str | None, connection: "AnyConnection | None"
    ) -> bool:
        inner = await only_psycopg_in(connection)
        return await self._control().command_server(name, command, actor=actor, connection=inner)

    async def _order(self, order: Order, job_id: BackgroundJobId, connection: "AnyConnection | None") -> OrderResult:
        (result,) = await self._control().order(order, [job_id], await only_psycopg_in(connection))
        return result
