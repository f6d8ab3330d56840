"""What the import routes need of a process that is connected to its database."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bulkport.imports.ingest import Intake
from bulkport.imports.watch import ImportWatch


@dataclass(frozen=True, slots=True)
class ImportRuntime:
    """The parts that exist while a server is connected to its database."""

    pool: AsyncConnectionPool[AsyncConnection[Any]]
    """Autocommit connections for short statements."""
    intake: Intake
    watch: ImportWatch
    """Tells of imports that somebody follows."""
