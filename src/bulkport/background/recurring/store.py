"""What recurring jobs ask of an engine."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bulkport.background.connections import AsyncPsycopg, SyncPsycopg
from bulkport.background.recurring.definitions import RecurringDefinition, RecurringJob
from bulkport.identifiers import BackgroundJobId

Connection = AsyncPsycopg | SyncPsycopg


class RecurringStore(Protocol):
    """Keeps recurring jobs. Workers of the engine make their jobs when they are due: one for each tick, however many
    servers there are, whatever their clocks say.

    Each method takes effect in the transaction of `connection`, if it is given one.
    """

    @property
    def declared(self) -> Mapping[str, RecurringDefinition]:
        """Those that this process declares in code, by id."""
        ...

    def declare(self, definition: RecurringDefinition) -> None:
        """Declare one in code. Nothing is written yet; each worker does that when it starts.

        Raises
        ------
        RecurringJobAlreadyDeclared
            Its id is taken.
        """
        ...

    async def write_declared(self, connection: Connection | None = None) -> None:
        """Write those declared in code, where they are new or changed; a pause stays. Those that no code has acted
        on for a week are forgotten.

        Raises
        ------
        InvalidSchedule
            A cron expression or a zone cannot be used.
        """
        ...

    async def add_or_update(
        self, definition: RecurringDefinition, connection: Connection | None = None
    ) -> RecurringJob:
        """Add one, or change the one of its id. The next tick changes only with the cron expression or the zone.

        Raises
        ------
        InvalidSchedule
            The cron expression or the time zone cannot be used; with the reason.
        """
        ...

    async def remove(self, recurring_id: str, connection: Connection | None = None) -> bool:
        """Remove one; its jobs stay. False when there is none."""
        ...

    async def pause(self, recurring_id: str, connection: Connection | None = None) -> RecurringJob:
        """Let it make no jobs until it is resumed.

        Raises
        ------
        UnknownRecurringJob
            There is none.
        """
        ...

    async def resume(self, recurring_id: str, connection: Connection | None = None) -> RecurringJob:
        """Let it go on with the next tick from now.

        Raises
        ------
        UnknownRecurringJob
            There is none.
        InvalidSchedule
            Its zone is not known here.
        """
        ...

    async def trigger(self, recurring_id: str, connection: Connection | None = None) -> BackgroundJobId:
        """Make a job now; the next tick stays as it is.

        Raises
        ------
        UnknownRecurringJob
            There is none.
        """
        ...

    async def get(self, recurring_id: str, connection: Connection | None = None) -> RecurringJob | None:
        """How it stands; None when there is none."""
        ...

    async def search(
        self,
        text: str | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        connection: Connection | None = None,
    ) -> Sequence[RecurringJob]:
        """Those whose id or task contains `text`, in the order of their ids, from the one following `after`."""
        ...
