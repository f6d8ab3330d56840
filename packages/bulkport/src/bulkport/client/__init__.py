"""A client for bulk imports over HTTP.

It sends bodies of any length without holding them, follows an import to its end and reads its bad rows::

    with BulkportClient("http://127.0.0.1:8000", api_key=key) as client:
        accepted = client.submit("platforms", FileSource(Path("platforms.csv")), BodyKind(BodyFormat.CSV))
        for progress in client.follow(accepted.id):
            print(progress.processed_records, "of", progress.total_records)
        for row in client.bad_rows(accepted.id):
            print(row.row, row.errors)
"""

from bulkport.client.answers import AcceptedImport, BadRow, FieldMessage, ImportProgress
from bulkport.client.bodies import BodyKind, FileSource, Source, StreamSource
from bulkport.client.client import BulkportClient
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
    "BadRow",
    "BodyKind",
    "BulkportClient",
    "ClientError",
    "FieldMessage",
    "FileSource",
    "ImportProgress",
    "RequestRefused",
    "ServerUnreachable",
    "Source",
    "SourceUnusable",
    "StreamSource",
    "UnexpectedAnswer",
    "UploadLost",
]
