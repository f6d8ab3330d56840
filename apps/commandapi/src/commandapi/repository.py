"""Reads and changes single rows of a mapped table by id, for the routes of every resource."""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bulkport.errors import InsufficientScope, NotFound
from commandapi.database import Base

MappedT = TypeVar("MappedT", bound=Base)


class RowsById(Generic[MappedT]):
    """Finds, replaces and removes rows; an unknown id is answered `There is no platform 7.`

    Every method raises `NotFound` for an id that no row has, and for one whose row the conditions `seen` hide. Those
    that write want a session in a transaction.

    Parameters
    ----------
    identity:
        The mapped class's id.
    label:
        What one row is called in messages, such as `platform`.
    """

    def __init__(self, mapped: type[MappedT], identity: InstrumentedAttribute[int], label: str) -> None:
        self._mapped: Final = mapped
        self._identity: Final = identity
        self._label: Final = label

    async def get(self, session: AsyncSession, row_id: int, *seen: ColumnElement[bool]) -> MappedT:
        """The row."""
        found = await session.scalar(select(self._mapped).where(self._identity == row_id, *seen))
        if found is None:
            raise self._missing(row_id)
        return found

    async def require(self, session: AsyncSession, row_id: int, *seen: ColumnElement[bool]) -> None:
        """See that there is such a row."""
        if not await session.scalar(select(exists().where(self._identity == row_id, *seen))):
            raise self._missing(row_id)

    async def replace(
        self, session: AsyncSession, row_id: int, values: dict[str, Any], *seen: ColumnElement[bool]
    ) -> None:
        """Replace columns of the row."""
        statement = update(self._mapped).where(self._identity == row_id, *seen).values(values).returning(self._identity)
        if await session.scalar(statement) is None:
            raise self._missing(row_id)

    async def remove(
        self,
        session: AsyncSession,
        row_id: int,
        *,
        seen: Sequence[ColumnElement[bool]] = (),
        removable: Sequence[ColumnElement[bool]] = (),
    ) -> None:
        """Remove the row.

        Raises
        ------
        InsufficientScope
            There is one, but it is none of those that may be removed.
        """
        statement = delete(self._mapped).where(self._identity == row_id, *seen, *removable).returning(self._identity)
        if await session.scalar(statement) is None:
            await self.require(session, row_id, *seen)
            raise InsufficientScope(
                f"Others added this {self._label}, or what goes with it: to remove it takes a key with the scope admin."
            )

    def _missing(self, row_id: int) -> NotFound:
        return NotFound(f"There is no {self._label} {row_id}.")
