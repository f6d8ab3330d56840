"""What is done to jobs and queues after they were enqueued, as an application asks for it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.connections import AnyConnection
from bulkport.jobs.forwarding import forwarded
from bulkport.jobs.port.control import (
    Actor,
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
from bulkport.jobs.port.metrics import ServerCommand
from bulkport.jobs.port.query import JobQuery
from bulkport.keywords import require_known


class Why(TypedDict, total=False):
    """What the history says about an order."""

    reason: str | None
    actor: str | None
    """Who wants it."""


class OrderedBy(Why, Actor, total=False):
    """Who gave the command, why, and in which transaction."""


def _port(calls: "ControlCalls") -> JobControl:
    return calls.control


class ControlCalls(ABC):
    """Orders to jobs and queues; a part of `Bulkport`.

    A command returns its outcome and does not raise for a job in an unsuitable state: it is safe to repeat,
    and safe against a job that changes meanwhile. The job's history has `reason` and `actor`. `connection` is an async
    one of the caller's, in whose transaction the order takes effect. The orders for all jobs of a query go through them
    in transactions of their own.
    """

    @property
    @abstractmethod
    def control(self) -> JobControl:
        """Carries them out."""

    async def cancel(self, job_id: BackgroundJobId, **by: Unpack[OrderedBy]) -> OrderResult:
        """Cancel a job: a waiting one at once; a running one is asked to stop."""
        return await self._order(Cancel(**_why(by)), job_id, by)

    async def delete(self, job_id: BackgroundJobId, **by: Unpack[OrderedBy]) -> OrderResult:
        """Cancel a job, even if it has finished; retention removes it later."""
        return await self._order(Delete(**_why(by)), job_id, by)

    async def requeue(self, job_id: BackgroundJobId, **by: Unpack[OrderedBy]) -> OrderResult:
        """Run a finished job again, with a fresh number of attempts. A succeeded job is repeated by a new job."""
        return await self._order(Requeue(**_why(by)), job_id, by)

    async def run_now(self, job_id: BackgroundJobId, **by: Unpack[OrderedBy]) -> OrderResult:
        """Run a scheduled or retrying job at once."""
        return await self._order(RunNow(**_why(by)), job_id, by)

    async def reschedule(
        self,
        job_id: BackgroundJobId,
        *,
        at: datetime | None = None,
        in_: float | timedelta | None = None,
        **by: Unpack[OrderedBy],
    ) -> OrderResult:
        """Reschedule a job that has not started: to `at` (aware), or to `in_` seconds from now.

        Raises
        ------
        ValueError
            Both or neither are given, or the time has no zone.
        """
        delay = in_.total_seconds() if isinstance(in_, timedelta) else in_
        return await self._order(Reschedule(at=at, delay=delay, **_why(by)), job_id, by)

    async def change(
        self,
        job_id: BackgroundJobId,
        *,
        priority: int | None = None,
        queue: str | None = None,
        **by: Unpack[OrderedBy],
    ) -> OrderResult:
        """Change the priority or queue of a job that has not started.

        Raises
        ------
        ValueError
            Neither is given, or no queue can have this name.
        """
        return await self._order(Change(priority=priority, queue=queue, **_why(by)), job_id, by)

    async def cancel_all(self, query: JobQuery, **why: Unpack[Why]) -> OrderSummary:
        """`cancel` all jobs that a query finds; the result as text reads like `12 cancelled, 1 already ended`."""
        return await self.order_all(Cancel(**why), query)

    async def delete_all(self, query: JobQuery, **why: Unpack[Why]) -> OrderSummary:
        """`delete` all jobs that a query finds."""
        return await self.order_all(Delete(**why), query)

    async def requeue_all(self, query: JobQuery, **why: Unpack[Why]) -> OrderSummary:
        """`requeue` all jobs that a query finds."""
        return await self.order_all(Requeue(**why), query)

    async def run_all_now(self, query: JobQuery, **why: Unpack[Why]) -> OrderSummary:
        """`run_now` all jobs that a query finds."""
        return await self.order_all(RunNow(**why), query)

    async def order(
        self, order: Order, job_ids: Iterable[BackgroundJobId], *, connection: "AnyConnection | None" = None
    ) -> list[OrderResult]:
        """Apply one action to up to some thousand jobs in one transaction; `OrderSummary.of` summarizes the results."""
        return await self.control.order(order, job_ids, connection)

    order_all = forwarded(_port, JobControl.order_all)

    pause_queue = forwarded(_port, JobControl.pause_queue)
    resume_queue = forwarded(_port, JobControl.resume_queue)
    pause_task = forwarded(_port, JobControl.pause_task)
    resume_task = forwarded(_port, JobControl.resume_task)
    limit_queue = forwarded(_port, JobControl.limit_queue)
    weigh_queue = forwarded(_port, JobControl.weigh_queue)

    ask_stack = forwarded(_port, JobControl.ask_stack)

    async def quiet_server(self, name: str, **by: Unpack[Actor]) -> bool:
        """Keep a server from starting jobs until it is resumed; running jobs finish. False: no such server."""
        return await self.control.command_server(name, ServerCommand.QUIET, **by)

    async def resume_server(self, name: str, **by: Unpack[Actor]) -> bool:
        """Resume a quiet server."""
        return await self.control.command_server(name, None, **by)

    async def stop_server(self, name: str, **by: Unpack[Actor]) -> bool:
        """Stop a server as SIGTERM does: its running jobs get the grace period. Its supervisor may restart it."""
        return await self.control.command_server(name, ServerCommand.STOP, **by)

    async def _order(self, order: Order, job_id: BackgroundJobId, by: OrderedBy) -> OrderResult:
        (result,) = await self.control.order(order, [job_id], by.get("connection"))
        return result


def _why(by: OrderedBy) -> Why:
    require_known(by, OrderedBy.__optional_keys__, "an order to a job")
    return {"reason": by.get("reason"), "actor": by.get("actor")}
