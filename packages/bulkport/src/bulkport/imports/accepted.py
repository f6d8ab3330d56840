"""The content of a 202 response."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bulkport.identifiers import BackgroundJobId, ImportId
from bulkport.imports.formats import Handling


@dataclass(frozen=True, slots=True)
class AcceptedImport:
    """An import that is stored and queued."""

    id: ImportId
    background_job_id: BackgroundJobId
    total_records: int
    handling: Handling

    def to_json(self) -> dict[str, Any]:
        """The stored form, for repeated requests."""
        return {
            "id": self.id,
            "background_job_id": self.background_job_id,
            "total_records": self.total_records,
            "handling": str(self.handling),
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            ImportId(kept["id"]),
            BackgroundJobId(kept["background_job_id"]),
            kept["total_records"],
            Handling(kept["handling"]),
        )
