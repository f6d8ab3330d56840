"""Operations on all jobs that match a filter, a step at a time; see docs/adr/0013.

The first step is part of the request that starts the operation. An operation that is not done then has a page of its
own, which asks for the next steps: by itself with script, else with a button. Each transaction handles some hundred
jobs and records the progress, so no job is handled twice, whoever asks again and even if a server crashes.
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
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Query
from bulkport.dashboard.pages.bulk_operation_store import BulkOperation, BulkOperationStore, OperationState
from bulkport.dashboard.pages.job_filters import LISTS, JobFilter, in_words
from bulkport.dashboard.pages.job_outcomes import outcome_in_words
from bulkport.dashboard.pages.job_search import JobSearch
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.errors import SearchTookTooLong
from bulkport.jobs.port.control import Order, OrderSummary
from bulkport.jobs.port.query import JobCount

logger = logging.getLogger(__name__)

MakeOrder = Callable[[str], Order]
"""Makes what the operator operations for each job."""

_MOST_COUNTED: Final = 100_000
STEP_SECONDS: Final = 2.0
"""Far less than a proxy waits. A step is over after the transaction in which this time has passed."""
_MOST_TRIES: Final = 5
_LEFT_ALONE: Final = timedelta(seconds=30)


class BulkOperations:
    """Starts bulk operations and continues them.

    Parameters
    ----------
    made:
        What operators can operation for each job, by the name of the action.
    step_seconds:
        How long a step takes, not counting its last transaction.
    """

    def __init__(
        self,
        jobs: JobCalls,
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
        """How many jobs an operation on all that a filter finds is about."""
        return await self._found.count(found, most=_MOST_COUNTED)

    async def begin(self, entry_id: int, name: str, fields: Query, count: JobCount) -> BulkOperation:
        """Start an operation and take its first step.

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
        operation = await self._store.begin(entry_id, name, str(fields.with_(cursor=None)), meant, count)
        try:
            return await self.go_on(operation.id)
        except (OperationalError, SearchTookTooLong):
            logger.warning("bulk operation %d is interrupted", operation.id, exc_info=True)
            return await self.get(operation.id)

    async def get(self, operation_id: int) -> BulkOperation:
        """The operation.

        Raises
        ------
        PageNotFound
            There is none.
        """
        operation = await self._store.get(operation_id)
        if operation is None:
            raise PageNotFound(t("Bulk operation {number} not found.", number=operation_id))
        return operation

    async def go_on(self, operation_id: int) -> BulkOperation:
        """Take the next step of an operation, unless it is stopped or has ended."""
        until = time.monotonic() + self._step_seconds
        tries_left = _MOST_TRIES
        while True:
            try:
                operation = await self._some_jobs(await self.get(operation_id))
            except DeadlockDetected:
                tries_left -= 1
                if not tries_left:
                    raise
                continue
            if operation.state is not OperationState.GOING or time.monotonic() >= until:
                return operation

    async def set_state(self, operation_id: int, state: OperationState) -> BulkOperation:
        """Stop or resume an operation, unless it has ended."""
        async with self._store.held(operation_id) as (connection, operation):
            if operation.state is OperationState.ENDED:
                return operation
            changed = replace(operation, state=state)
            await self._store.advance(connection, changed)
        return changed

    async def _some_jobs(self, known: BulkOperation) -> BulkOperation:
        """Handle some hundred more jobs, in one transaction with the progress of the operation."""
        if known.state is not OperationState.GOING:
            return known
        # Times relative to now, such as the last hour, are relative to the start of the operation.
        found = JobFilter.of(Query.parse(known.filter), state=LISTS[known.list_name], now=known.begun_at)
        some = await self._found.walk(found, known.begun_at, known.cursor)
        async with self._store.held(known.id) as (connection, operation):
            if operation != known:
                # Another request has continued or stopped it.
                return operation
            results = await self._jobs.order(
                self._made[operation.action](operation.actor), some.ids, connection=connection
            )
            advanced = replace(
                operation,
                cursor=some.next_cursor,
                summary=OrderSummary(Counter(operation.summary.effects) + Counter(OrderSummary.of(results).effects)),
                state=OperationState.ENDED if some.next_cursor is None else OperationState.GOING,
            )
            await self._store.advance(connection, advanced)
        return advanced


def bulk_operation_page(operations: BulkOperations, headings: Mapping[str, str]) -> Page:
    """The page of one operation.

    Parameters
    ----------
    headings:
        Of the page, by the name of the action; with a placeholder for the jobs.
    """

    async def load(request: PageRequest) -> Mapping[str, Any]:
        operation = await operations.get(request.params["operation_id"])
        return {
            "operation": operation,
            "heading": t(
                headings.get(operation.action, "{jobs}"),
                jobs=in_words(Query.parse(operation.filter), state=LISTS.get(operation.list_name)),
            ),
            "outcome": outcome_in_words(operation.summary),
            "is_going": operation.state is OperationState.GOING,
            "is_stopped": operation.state is OperationState.STOPPED,
            "is_left_alone": datetime.now(UTC) - operation.touched_at > _LEFT_ALONE,
            "list_address": request.link(operation.list_name, Query.parse(operation.filter)),
        }

    return Page("bulk-operations/{operation_id:int}", "bulk_operation.html", load, section="jobs")


def bulk_operation_actions(operations: BulkOperations) -> list[Action]:
    """The actions `bulk-operations/continue`, `stop` and `resume` on the operation that the field `operation` names.

    Its own entry in the audit records their results. They are for the operator who started it.
    """

    async def go_on(operation: BulkOperation) -> BulkOperation:
        return await operations.go_on(operation.id)

    async def stop(operation: BulkOperation) -> BulkOperation:
        return await operations.set_state(operation.id, OperationState.STOPPED)

    async def resume(operation: BulkOperation) -> BulkOperation:
        await operations.set_state(operation.id, OperationState.GOING)
        return await operations.go_on(operation.id)

    return [
        _step("bulk-operations/continue", "Continue", go_on, operations),
        _step("bulk-operations/stop", "Stop", stop, operations),
        _step("bulk-operations/resume", "Continue", resume, operations),
    ]


def _step(
    name: str, label: str, take: Callable[[BulkOperation], Awaitable[BulkOperation]], operations: BulkOperations
) -> Action:
    async def run(request: ActionRequest) -> Done:
        numbers = request.form.numbers("operation")
        if len(numbers) != 1:
            raise ActionRefused(t("No bulk operation selected."))
        operation = await operations.get(numbers[0])
        if operation.actor != request.viewer.name:
            raise ActionRefused(t("Only {user}, who started this, can continue or stop it.", user=operation.actor))
        return done_so_far(await take(operation))

    return Action(name, label, run, is_audited=False)


def done_so_far(operation: BulkOperation) -> Done:
    """The result so far, which the operation's page shows."""
    return Done(
        operation.in_words,
        target=operation.target,
        is_good=operation.summary.done > 0,
        lead_to=f"bulk-operations/{operation.id}",
        is_shown_there=True,
    )
