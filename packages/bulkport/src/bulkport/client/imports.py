"""The imports of one user, for the synchronous client."""

# Made from its asynchronous twin by sync_client.py: change that one.

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack

from bulkport.client import operations, tus
from bulkport.client.bodies import BodyKind, Source
from bulkport.client.import_handle import Import
from bulkport.client.operations import Wishes
from bulkport.client.records import AsyncRecordSource, Data, source_of
from bulkport.client.sending import OnSent
from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.prefer_header import Handling

if TYPE_CHECKING:
    from bulkport.client.client import Client


class Imports:
    """The imports of the key's user."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def create(
        self,
        resource: str,
        data: Data,
        *,
        format: BodyFormat | str | None = None,  # noqa: A002 # the field's name
        delimiter: str | None = None,
        mode: str | None = None,
        dry_run: bool = False,
        handling: Handling | str | None = None,
        results: str | bool | None = None,
        start_at: datetime | None = None,
        map: Mapping[str, str] | Sequence[str] | None = None,  # noqa: A002 # the field's name
        name: str | None = None,
        client_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
        compress: bool | None = None,
        on_sent: OnSent | None = None,
        **options: Any,
    ) -> Import:
        """Send records; when this returns, they are stored and queued.

        Parameters
        ----------
        data:
            The path of a file, a binary file, bytes, records or a data frame; see `Data`.
        format:
            `csv`, `ndjson`, `json`, `excel` or `parquet`, where the name of the file does not say it.
        mode:
            `insert`, `upsert`, `update`, `skip` or `delete`, as far as the resource allows.
        dry_run:
            Run the import without keeping any row.
        handling:
            `strict` or `lenient`; None: the server's default.
        results:
            `ids`, or True: keep the outcome and id of every row, for `Import.results`.
        start_at:
            Time before which nothing is imported.
        map:
            Fields by columns of the file: `{"Article no.": "sku"}`.
        idempotency_key:
            Makes it safe to call this again with the same data, also in another process; by default each call has a
            key of its own, which makes its own retries safe. A file is then sent in one piece.
        compress:
            Whether to send with gzip; None: records are, files and bytes go as they are.
        options:
            The server's further options by their names in Python: `charset="utf-16"`, `date_format="DD.MM.YYYY"`.

        Raises
        ------
        RequestRefused
            The server refused the body; nothing of it was kept.
        ServerUnreachable, UploadLost
            The server does not answer, or the connection broke for longer than `patience_seconds`.
        SourceUnusable
            The data cannot be read or sent.
        """
        source, kind = source_of(
            data, format=None if format is None else BodyFormat(format), delimiter=delimiter, compresses=compress
        )
        chosen = {
            "mode": mode,
            "dry_run": dry_run,
            "results": "ids" if results is True else results or None,
            "start_at": start_at,
            "map": map,
        }
        return self.send(
            resource,
            source,
            kind,
            on_sent=on_sent,
            handling=handling,
            name=name,
            client_id=client_id,
            metadata=metadata,
            tags=tags,
            idempotency_key=idempotency_key,
            options={**chosen, **options},
        )

    def send(
        self,
        resource: str,
        source: Source | AsyncRecordSource,
        kind: BodyKind,
        *,
        on_sent: OnSent | None = None,
        **wishes: Unpack[Wishes],
    ) -> Import:
        """Like `create`, for a body whose source and kind are known."""
        accepted = None
        if tus.is_resumable(source, self._client.resumable_bytes, wishes):
            upload_id = self._client.run(tus.upload(source, kind), on_sent)
            if upload_id is not None:
                accepted = self._client.run(operations.create_from_upload(resource, upload_id, kind, **wishes))
        if accepted is None:
            accepted = self._client.run(operations.create(resource, source, kind, **wishes), on_sent)
        return Import(self._client, accepted.id, accepted.total_records)

    def get(self, import_id: int) -> Import:
        """One import; raises RequestRefused when there is none, or it is another user's."""
        job = Import(self._client, import_id)
        job.refresh()
        return job

    def find(self, client_id: str) -> Import | None:
        """The import that was given this `client_id`."""
        return next(self.list(client_id=client_id), None)

    def list(self, **filters: Any) -> Iterator[Import]:
        """Imports, newest first; filters are `resource`, `status`, `name`, `client_id`, `tag` and `metadata`."""
        cursor: str | None = None
        while True:
            page = self._client.run(operations.list_page(filters, cursor, 100))
            for progress in page.items:
                yield Import(self._client, progress.id, progress.total_records, progress)
            cursor = page.next_cursor
            if cursor is None:
                return
