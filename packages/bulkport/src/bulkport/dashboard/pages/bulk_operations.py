"""BulkOperations for all jobs that match, carried out a step a request; see docs/adr/0013.

The first step is a part of the request that gives the order. An order that is not done then has a page of its own,
which asks for the next steps: with script by itself, else with a button. Each transaction does some hundred jobs and
keeps how far the order has come, so that no job is ordered twice, whoever asks again and whatever dies on the way.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import OperationalError
from psycopg.errors import DeadlockDetected

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Query
from bulkport.dashboard.pages.bulk_operation_store import BulkOperation, BulkOperationStore, OperationState
from bulkport.dashboard.pages.job_filters import LISTS, JobFilter, in_words
from bulkport.dashboard.pages.job_outcomes import outcome_in_words
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.dashboard.pages.managed_jobs import ManagedJobs
from bulkport.jobs.errors import SearchTookTooLong
from bulkport.jobs.port.control import Order, OrderSummary
from bulkport.jobs.reading.query import JobCount

logger = logging.getLogger(__name__)

MakeOrder = Callable[[str], Order]
"""Makes the order that an operator gives."""

_MOST_COUNTED: Final = 100_000
STEP_SECONDS: Final = 2.0
"""Far less than a proxy waits. A step is over after the transaction in which this time has passed."""
_MOST_TRIES: Final = 5
_LEFT_ALONE: Final = timedelta(seconds=30)


class BulkOperations:
    """Begins orders, and goes on with them.

    Parameters
    ----------
    made:
        What operators can order, by the name of the action.
    step_seconds:
        How long a step takes, apart from its last transaction.
    """

    def __init__(
        self,
        jobs: ManagedJobs,
        found: JobSearch,
        store: BulkOperationStore,
        made: Mapping[str, MakeOrder],
        *,
        step_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._found = found
        self._store = store
        self._made = made
        self._step_seconds = step_seconds

    async def count(self, found: JobFilter) -> JobCount:
        """How many jobs an order for all that a filter finds would be about."""
        return await self._found.count(found, most=_MOST_COUNTED)

    async def begin(self, entry_id: int, name: str, fields: Query, count: JobCount) -> BulkOperation:
        """Begin an order, and take its first step.

        Parameters
        ----------
        entry_id:
            Of its entry in the audit.
        name, fields:
            The list whose jobs are meant, and the query of its address.
        count:
            Of these jobs.
        """
        meant = in_words(fields, state=LISTS[name])
        order = await self._store.begin(entry_id, name, str(fields.with_(cursor=None)), meant, count)
        try:
            return await self.go_on(order.id)
        except (OperationalError, SearchTookTooLong):
            logger.warning("order %d does not go on for now", order.id, exc_info=True)
            return await self.get(order.id)

    async def get(self, order_id: int) -> BulkOperation:
        """The order.

        Raises
        ------
        PageNotFound
            There is none.
        """
        order = await self._store.get(order_id)
        if order is None:
            raise PageNotFound(f"There is no order {order_id}.")
        return order

    async def go_on(self, order_id: int) -> BulkOperation:
        """Take the next step of an order, unless it is stopped or has ended."""
        until = time.monotonic() + self._step_seconds
        tries_left = _MOST_TRIES
        while True:
            try:
                order = await self._some_jobs(await self.get(order_id))
            except DeadlockDetected:
                tries_left -= 1
                if not tries_left:
                    raise
                continue
            if order.state is not OperationState.GOING or time.monotonic() >= until:
                return order

    async def set_state(self, order_id: int, state: OperationState) -> BulkOperation:
        """Stop an order, or let it go on, unless it has ended."""
        async with self._store.held(order_id) as (connection, order):
            if order.state is OperationState.ENDED:
                return order
            changed = replace(order, state=state)
            await self._store.advance(connection, changed)
        return changed

    async def _some_jobs(self, known: BulkOperation) -> BulkOperation:
        """Order some hundred jobs more, in one transaction with how far the order has come."""
        if known.state is not OperationState.GOING:
            return known
        # What is relative to now in a filter, such as the last hour, is relative to the beginning.
        found = JobFilter.of(Query.parse(known.filter), state=LISTS[known.list_name], now=known.begun_at)
        some = await self._found.walk(found, known.begun_at, known.cursor)
        async with self._store.held(known.id) as (connection, order):
            if order != known:
                # Another request has gone on with it, or stopped it.
                return order
            results = await self._jobs.order(self._made[order.action](order.actor), some.ids, connection=connection)
            advanced = replace(
                order,
                cursor=some.next_cursor,
                summary=OrderSummary(Counter(order.summary.effects) + Counter(OrderSummary.of(results).effects)),
                state=OperationState.ENDED if some.next_cursor is None else OperationState.GOING,
            )
            await self._store.advance(connection, advanced)
        return advanced


def bulk_operation_page(orders: BulkOperations, labels: Mapping[str, str]) -> Page:
    """The page of one order.

    Parameters
    ----------
    labels:
        Of the actions by their names.
    """

    async def load(request: PageRequest) -> Mapping[str, Any]:
        order = await orders.get(request.params["order_id"])
        return {
            "order": order,
            "heading": f"{labels[order.action]} {order.target}",
            "outcome": outcome_in_words(order.summary),
            "is_going": order.state is OperationState.GOING,
            "is_stopped": order.state is OperationState.STOPPED,
            "is_left_alone": datetime.now(UTC) - order.touched_at > _LEFT_ALONE,
            "list_address": request.link(order.list_name, Query.parse(order.filter)),
        }

    return Page("bulk-operations/{order_id:int}", "bulk_operation.html", load, section="jobs")


def bulk_operation_actions(orders: BulkOperations) -> list[Action]:
    """The actions `orders/go-on`, `orders/stop` and `orders/resume` on the `order` that a form names.

    What comes of them is told in the entry of the order. They are for the operator who gave it.
    """

    async def go_on(order: BulkOperation) -> BulkOperation:
        return await orders.go_on(order.id)

    async def stop(order: BulkOperation) -> BulkOperation:
        return await orders.set_state(order.id, OperationState.STOPPED)

    async def resume(order: BulkOperation) -> BulkOperation:
        await orders.set_state(order.id, OperationState.GOING)
        return await orders.go_on(order.id)

    return [
        _step("bulk-operations/continue", "Continue", go_on, orders),
        _step("bulk-operations/stop", "Stop", stop, orders),
        _step("bulk-operations/resume", "Continue", resume, orders),
    ]


def _step(
    name: str, label: str, take: Callable[[BulkOperation], Awaitable[BulkOperation]], orders: BulkOperations
) -> Action:
    async def run(request: ActionRequest) -> Done:
        numbers = request.form.numbers("order")
        if len(numbers) != 1:
            raise ActionRefused("No order was chosen.")
        order = await orders.get(numbers[0])
        if order.actor != request.viewer.name:
            raise ActionRefused(f"Only {order.actor}, who gave this order, continues or stops it.")
        return done_so_far(await take(order))

    return Action(name, label, run, is_audited=False)


def done_so_far(order: BulkOperation) -> Done:
    """What an order came to, which its page tells."""
    return Done(
        order.in_words,
        target=order.target,
        is_good=order.summary.done > 0,
        lead_to=f"bulk-operations/{order.id}",
        is_told_there=True,
    )
