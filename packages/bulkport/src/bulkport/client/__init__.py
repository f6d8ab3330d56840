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

from bulkport.client.async_client import AsyncClient
from bulkport.client.async_import_handle import AsyncImport
from bulkport.client.async_imports import AsyncImports
from bulkport.client.bodies import BodyKind, FileSource, Source, StreamSource
from bulkport.client.client import Client
from bulkport.client.errors import (
    ClientError,
    RequestRefused,
    ServerUnreachable,
    SourceUnusable,
    TargetUnusable,
    UnexpectedAnswer,
    UploadLost,
)
from bulkport.client.import_handle import Import
from bulkport.client.imports import Imports
from bulkport.client.records import Data
from bulkport.client.responses import (
    AcceptedImport,
    BadRow,
    FieldMessage,
    ImportEvent,
    ImportProgress,
    RowResult,
    ShownStatus,
    Undone,
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
    "Data",
    "FieldMessage",
    "FileSource",
    "Import",
    "ImportEvent",
    "ImportProgress",
    "Imports",
    "RequestRefused",
    "RowResult",
    "ServerUnreachable",
    "ShownStatus",
    "Source",
    "SourceUnusable",
    "StreamSource",
    "TargetUnusable",
    "Undone",
    "UnexpectedAnswer",
    "UploadLost",
]
