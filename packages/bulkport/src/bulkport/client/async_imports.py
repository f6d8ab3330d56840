"""The imports of one user, for the asynchronous client."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack

from bulkport.client import operations, tus
from bulkport.client.async_import_handle import AsyncImport
from bulkport.client.bodies import BodyKind, Source
from bulkport.client.operations import Wishes
from bulkport.client.records import AsyncRecordSource, Data, source_of
from bulkport.client.sending import OnSent
from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.prefer_header import Handling

if TYPE_CHECKING:
    from bulkport.client.async_client import AsyncClient


class AsyncImports:
    """The imports of the key's user; see `Imports`."""

    def __init__(self, client: "AsyncClient") -> None:
        self._client = client

    async def create(
        self,
        resource: str,
        data: Data,
        *,
        format: BodyFormat | str | None = None,  # noqa: A002 # the field's name
        delimiter: str | None = None,
        mode: str | None = None,
        dry_run: bool = False,
        handling: Handling | str | None = None,
        results: str | None = None,
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
    ) -> AsyncImport:
        """Send records, also of an asynchronous iterable; see `Imports.create`."""
        source, kind = source_of(
            data, format=None if format is None else BodyFormat(format), delimiter=delimiter, compresses=compress
        )
        chosen = {"mode": mode, "dry_run": dry_run, "results": results, "start_at": start_at, "map": map}
        return await self.send(
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

    async def send(
        self,
        resource: str,
        source: Source | AsyncRecordSource,
        kind: BodyKind,
        *,
        on_sent: OnSent | None = None,
        **wishes: Unpack[Wishes],
    ) -> AsyncImport:
        """As `create`, for a body whose source and kind are known."""
        accepted = None
        if tus.is_resumable(source, self._client.resumable_bytes, wishes):
            upload_id = await self._client.run(tus.upload(source, kind), on_sent)
            if upload_id is not None:
                accepted = await self._client.run(operations.create_from_upload(resource, upload_id, kind, **wishes))
        if accepted is None:
            accepted = await self._client.run(operations.create(resource, source, kind, **wishes), on_sent)
        return AsyncImport(self._client, accepted.id, accepted.total_records)

    async def get(self, import_id: int) -> AsyncImport:
        """One import; raises RequestRefused when there is none, or it is another user's."""
        job = AsyncImport(self._client, import_id)
        await job.refresh()
        return job

    async def find(self, client_id: str) -> AsyncImport | None:
        """The import that was given this `client_id`."""
        return await anext(self.list(client_id=client_id), None)

    async def list(self, **filters: Any) -> AsyncIterator[AsyncImport]:
        """Imports, newest first; filters are `resource`, `status`, `name`, `client_id`, `tag` and `metadata`."""
        cursor: str | None = None
        while True:
            page = await self._client.run(operations.list_page(filters, cursor, 100))
            for progress in page.items:
                yield AsyncImport(self._client, progress.id, progress.total_records, progress)
            cursor = page.next_cursor
            if cursor is None:
                return
