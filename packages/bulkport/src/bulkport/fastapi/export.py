"""`GET /{resource}/export`: a resource's rows as a file that imports again."""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.requests import Request

from bulkport.errors import ValidationFailed
from bulkport.fastapi.described_headers import ATTACHMENT
from bulkport.fastapi.error_report import preferred
from bulkport.fastapi.file_parts import in_slot, whole
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.schemas import WireQuery
from bulkport.fastapi.write_query import context_values
from bulkport.identifiers import UserId
from bulkport.imports.exports.file import ExportedFile
from bulkport.imports.exports.pages import Export, PageText
from bulkport.imports.exports.query import ExportQuery, is_granted, read_primary_key, sort_columns
from bulkport.imports.exports.writing import FileFormat
from bulkport.imports.formats import BodyFormat
from bulkport.imports.resource import Resource
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.writing.table import read_table

_FormatName = Literal["csv", "ndjson", "xlsx", "parquet"]

_TEXTS: Final = {"csv": BodyFormat.CSV.media_type, "ndjson": BodyFormat.NDJSON.media_type}
_BY_MEDIA_TYPE: Final[dict[str, _FormatName]] = {
    BodyFormat.CSV.media_type: "csv",
    BodyFormat.NDJSON.media_type: "ndjson",
    FileFormat.XLSX.media_type: "xlsx",
    FileFormat.PARQUET.media_type: "parquet",
}


class ExportParameters(WireQuery):
    """Query parameters of an export."""

    format: Annotated[
        _FormatName | None,
        Field(
            description="Format of the file; by default the one that `Accept` prefers, or CSV. A workbook has at most "
            "1,048,575 rows."
        ),
    ] = None
    search: Annotated[
        str, Field(max_length=250, pattern=r"^[^\x00]*$", description="Text to find anywhere in a row, ignoring case.")
    ] = ""
    sort_by: Annotated[
        str | None,
        Field(max_length=100, description="Field to sort by, which must never be null; by default, the primary key."),
    ] = None
    descending: Annotated[bool, Field(description="Sort in descending order.")] = False
    null_word: Annotated[
        str,
        Field(
            max_length=20,
            pattern=r'^[^\x00-\x1f",]*$',
            description="Text that represents null in CSV and workbooks, to distinguish it from empty text. To import "
            "the file again, send this word as `nullWords=`, and `blank=empty`.",
            examples=["NULL"],
        ),
    ] = ""


def export_router(resource: Resource, runtime: Callable[[], ImportRuntime], authenticate: Authenticate) -> APIRouter:
    """`GET /{resource}/export`. The parameters are those of `bulk_router`."""
    router = APIRouter(prefix=f"/{resource.name}", tags=[resource.name], route_class=BulkportRoute)

    @router.get(
        "/export",
        name=f"export_{resource.name}",
        responses={200: _FILE, 501: _MISSING},
        response_class=Response,
    )
    async def export(
        request: Request,
        query: Annotated[ExportParameters, Query()],
        user_id: Annotated[UserId, Depends(authenticate)],
        context: Annotated[dict[str, str | None], Depends(context_values(resource))],
    ) -> Response:
        """All rows, or those that match `search`, ordered by their key or `sortBy`, as a file that imports again.

        Rows are read page by page, so a file may have any length. Each row that exists throughout the export is in it
        once; rows that are added or removed meanwhile may or may not be.
        """
        running = runtime()
        async with running.pool.connection() as connection:
            table = await read_table(connection, resource)
            key = await read_primary_key(connection, resource)
            # The application's own policies hold if it has granted the table to the role of users' requests.
            is_shared_with_tenants = running.row_security.is_there and await is_granted(connection, resource)
        pool = running.of_user(user_id) if is_shared_with_tenants else running.pool
        columns = zip(resource.column_names, table.types, strict=True)
        texts = tuple(column for column, type_ in columns if type_.is_text)
        if query.sort_by is not None:
            sortable = sort_columns(table)
            if query.sort_by not in sortable:
                raise ValidationFailed({"sortBy": [f"sortBy must be one of {', '.join(sorted(sortable))}"]})
            key = tuple(dict.fromkeys((sortable[query.sort_by], *key)))
        rows = ExportQuery(key, query.search, texts, context, query.descending)
        accept = field_value(request.headers, "accept") or ""
        chosen = query.format or preferred(accept, _BY_MEDIA_TYPE) or "csv"
        if chosen in _TEXTS:
            text = Export(pool, table, rows, null_word=query.null_word).file(PageText(chosen))
            parts = in_slot(text, running.text_export_slots, user_id)
            media_type = _TEXTS[chosen]
        else:
            file_format, folder = FileFormat(chosen), running.intake.limits.spool_folder
            file = ExportedFile(pool, table, rows, file_format, null_word=query.null_word, folder=folder)
            parts = in_slot(file.parts(), running.export_slots, user_id)
            media_type = file_format.media_type
        # The first part is read before the response begins, so that an early failure is a problem, not a broken file.
        first = await anext(parts, b"")
        return StreamingResponse(
            whole(first, parts),
            media_type=media_type,
            headers={"Content-Disposition": f'attachment; filename="{resource.name}.{chosen}"', "Vary": "Accept"},
        )

    return router


_FILE: Final[dict[str, Any]] = {
    "description": "The rows.",
    "headers": ATTACHMENT,
    "content": {
        "text/csv": {"schema": {"type": "string"}},
        "application/x-ndjson": {"schema": {"type": "string"}},
        **{form.media_type: {"schema": {"type": "string", "format": "binary"}} for form in FileFormat},
    },
}
_MISSING: Final[dict[str, Any]] = {"description": "The server lacks the extra for this format."}
