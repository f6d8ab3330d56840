"""The description of an import, stored when it is accepted: everything but its records."""

import json
from datetime import datetime
from typing import Any

from bulkport.identifiers import BackgroundJobId, ImportId
from bulkport.imports.accepted import AcceptedImport
from bulkport.imports.body.upload import ChunkReader, OnAccept, Upload
from bulkport.imports.formats import BodyFormat, Handling
from bulkport.imports.summary import unknown_fields_warnings


class ImportDescription:
    """What an import is, apart from its records."""

    def __init__(
        self, upload: Upload, chunks: ChunkReader | None = None, body_format: BodyFormat = BodyFormat.JSON
    ) -> None:
        self._upload = upload
        self._handling = upload.handling or Handling.LENIENT
        self._chunks = chunks
        self._format = body_format

    @property
    def import_id(self) -> ImportId | None:
        """The import that has waited for its body; None: a new one."""
        return self._upload.import_id

    @property
    def user_id(self) -> str:
        """Whose import it is."""
        return self._upload.user_id

    @property
    def start_at(self) -> datetime | None:
        """When it begins; None: at once."""
        return self._upload.start_at

    @property
    def on_accept(self) -> OnAccept | None:
        """What else belongs into the transaction that accepts it."""
        return self._upload.on_accept

    def chunk_workers(self, most: int, chunks: int) -> int:
        """Background jobs that may work on it."""
        return 1 if self._upload.resource.keeps_order else min(most, chunks)

    def row(self, records: int, chunks: int, body_bytes: int) -> dict[str, Any]:
        """What its row in `bulk_import_jobs` holds from the start, but for its ids."""
        upload = self._upload
        return {
            "resource": upload.resource.name,
            "user_id": upload.user_id,
            "format": self._format,
            "handling": self._handling,
            "total_records": records,
            "total_chunks": chunks,
            "body_bytes": body_bytes,
            "csv_columns": self._csv_columns(),
            "reading": json.dumps((self._chunks.reading if self._chunks else upload.reading).to_json()),
            "writing": None if upload.writing is None else json.dumps(upload.writing.stored()),
            "file_name": upload.file_name,
            "name": upload.labels.name,
            "client_id": upload.labels.client_id,
            "metadata": None if upload.labels.metadata is None else json.dumps(upload.labels.metadata),
            "tags": list(upload.labels.tags),
            "warnings": json.dumps(self._warnings()),
        }

    def accepted(self, id_: ImportId, background_job_id: BackgroundJobId, records: int) -> AcceptedImport:
        """What the client is answered."""
        return AcceptedImport(id_, background_job_id, records, self._handling)

    def _csv_columns(self) -> str | None:
        if self._chunks is None or self._chunks.dialect is None or self._chunks.columns is None:
            return None
        columns = self._chunks.columns
        of_columns = {"fields": columns.fields, "unknown": columns.unknown, "constants": columns.constants}
        return json.dumps(self._chunks.dialect.to_json() | of_columns)

    def _warnings(self) -> list[str]:
        chunks = self._chunks
        if chunks is None:
            return []
        if chunks.dialect is None or chunks.columns is None:
            return chunks.warnings
        unknown = chunks.columns.unknown
        if chunks.dialect.report_columns:  # which the report has added itself
            unknown = unknown[: -chunks.dialect.report_columns]
        given = {name for name in chunks.columns.fields if name}
        known = [wire for name, wire in self._upload.resource.wire_names.items() if name not in given]
        return [*chunks.warnings, *unknown_fields_warnings(unknown, known)]
