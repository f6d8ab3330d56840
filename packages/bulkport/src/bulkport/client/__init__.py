"""Clients for bulk imports over HTTP, synchronous and asynchronous.

They send bodies of any length without holding them, retry what is safe to send again, follow an import to its end and
read its bad rows::

    with Client("http://127.0.0.1:8000", api_key=key) as client:
        job = client.imports.create("platforms", [{"platformName": "Docker"}])
        progress = job.wait(progress=True)
        for row in job.errors():
            print(row.row, row.errors)
"""

from bulkport.extras import require_extra

require_extra("client", "httpx")

from bulkport.client.answers import AcceptedImport, BadRow, FieldMessage, ImportProgress, RowResult, ShownStatus
from bulkport.client.async_client import AsyncClient, AsyncImport, AsyncImports
from bulkport.client.bodies import BodyKind, FileSource, Source, StreamSource
from bulkport.client.client import Client, Import, Imports
from bulkport.client.errors import (
    ClientError,
    RequestRefused,
    ServerUnreachable,
    SourceUnusable,
    UnexpectedAnswer,
    UploadLost,
)

__all__ = [
    "AcceptedImport",
    "AsyncClient",
    "AsyncImport",
    "AsyncImports",
    "BadRow",
    "BodyKind",
    "Client",
    "ClientError",
    "FieldMessage",
    "FileSource",
    "Import",
    "ImportProgress",
    "Imports",
    "RequestRefused",
    "RowResult",
    "ServerUnreachable",
    "ShownStatus",
    "Source",
    "SourceUnusable",
    "StreamSource",
    "UnexpectedAnswer",
    "UploadLost",
]
