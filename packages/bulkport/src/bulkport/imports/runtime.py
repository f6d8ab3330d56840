"""What the import routes need while the process is connected to its database."""

from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bulkport.database.row_security import RowSecurity, UserConnections
from bulkport.identifiers import UserId
from bulkport.imports.body.part_store import PartStore
from bulkport.imports.ingest import Intake
from bulkport.imports.watch import ImportWatch
from bulkport.jobs.port import JobEngine
from bulkport.slots import Slots


def _export_slots() -> Slots:
    # A workbook takes a core while it is written.
    return Slots("exports as xlsx or parquet", in_all=4, per_user=2, wait_seconds=10.0)


def _text_export_slots() -> Slots:
    # Each reads pages one after another; thirty of one user would take every connection in turn.
    return Slots("exports", in_all=200, per_user=4, wait_seconds=10.0)


@dataclass(frozen=True, slots=True)
class ImportRuntime:
    """The parts that exist while a server is connected to its database."""

    pool: AsyncConnectionPool[AsyncConnection[Any]]
    """Autocommit connections for short statements."""
    intake: Intake
    engine: JobEngine
    """Where background jobs are queued."""
    watch: ImportWatch
    """Notifies clients that follow imports."""
    row_security: RowSecurity
    """Has PostgreSQL see to it that a user's statements see the user's rows alone."""
    staging: PartStore | None = None
    """Where the bytes of uploads wait; None: in the database."""
    export_slots: Slots = field(default_factory=_export_slots)
    """Slots for exports written by a separate process."""
    text_export_slots: Slots = field(default_factory=_text_export_slots)
    """Places for all other exports."""

    def of_user(self, user_id: UserId) -> UserConnections:
        """Connections that see and change rows of this user alone, each for one transaction."""
        return UserConnections(self.row_security, user_id)
