"""What a client is told with its 202."""

from dataclasses import dataclass

from bulkport.identifiers import BackgroundJobId, ImportId
from bulkport.imports.formats import Handling


@dataclass(frozen=True, slots=True)
class AcceptedImport:
    """An import that is stored and queued."""

    id: ImportId
    background_job_id: BackgroundJobId
    total_records: int
    handling: Handling
