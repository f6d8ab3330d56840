"""`GET /api/imports/{id}/errors`: the report of an import's bad rows."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.requests import Request

from bulkport.fastapi.described_headers import ATTACHMENT
from bulkport.fastapi.error_report import chosen_format
from bulkport.fastapi.file_parts import in_slot, whole
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.import_examples import ROW_EXAMPLE
from bulkport.fastapi.import_results import ReportQuery, position
from bulkport.fastapi.schemas import JobId
from bulkport.identifiers import UserId
from bulkport.imports.error_report import json_page, report_disposition, report_lines
from bulkport.imports.exports.writing import FileFormat
from bulkport.imports.formats import BodyFormat
from bulkport.imports.read import csv_header, get_job, list_row_errors, row_error_pages
from bulkport.imports.resource import Resources
from bulkport.imports.runtime import ImportRuntime


class ErrorReportQuery(ReportQuery):
    """Query parameters of an import's report of bad rows."""

    format: Annotated[
        Literal["json", "ndjson", "csv", "xlsx"] | None,
        Field(description="Format of the report; overrides `Accept`."),
    ] = None
    neutralize: Annotated[
        bool,
        Field(
            description="In CSV, prefix cells that a spreadsheet would treat as formulas with `'`. When the file is "
            "sent back, the prefix is removed."
        ),
    ] = False


def add_errors_route(
    router: APIRouter,
    resources: Resources,
    runtime: Callable[[], ImportRuntime],
    authenticate: Callable[..., Any],
) -> None:
    """Add the route to those of imports."""

    @router.get("/{job_id}/errors", responses={200: _REPORT}, response_class=Response)
    async def get_import_errors(
        job_id: JobId,
        request: Request,
        user_id: Annotated[UserId, Depends(authenticate)],
        query: Annotated[ErrorReportQuery, Query()],
    ) -> Response:
        """Every rejected row with its errors, in row order.

        JSON comes in pages; `application/x-ndjson`, `text/csv` and workbooks have the whole report, by `Accept` or
        `format`. While the import runs, the report has the rows rejected so far. CSV and workbooks have the columns
        of the original file, then `row` and `error`; once corrected, they can be the body of a retry.
        """
        after_row = 0 if query.cursor is None else position(query.cursor)
        async with runtime().of_user(user_id).connection() as connection:
            job = await get_job(connection, job_id, user_id)
            report_format = chosen_format(field_value(request.headers, "accept"), query.format)
            if report_format is BodyFormat.JSON:
                rows = await list_row_errors(connection, job_id, after_row=after_row, limit=query.limit)
                more = rows and await list_row_errors(connection, job_id, after_row=rows[-1].row, limit=1)
                body = json_page(rows, next_cursor=str(rows[-1].row) if more else None)
                return Response(body, media_type="application/json", headers=_VARY)
            header = await csv_header(connection, job_id, resources[job.resource].wire_names)
        pages = row_error_pages(runtime().of_user(user_id), job_id, after_row=after_row)
        wire_names = list(resources[job.resource].wire_names.values())
        parts = report_lines(
            report_format,
            pages,
            header=header,
            wire_names=wire_names,
            neutralize=query.neutralize,
            folder=runtime().intake.limits.spool_folder,
        )
        if report_format is BodyFormat.EXCEL:
            parts = in_slot(parts, runtime().export_slots, user_id)
        # The first part is read before the response begins, so that an early failure is a problem, not a broken file.
        first = await anext(parts, b"")
        return StreamingResponse(
            whole(first, parts),
            media_type=report_format.media_type,
            headers={**_VARY, "Content-Disposition": report_disposition(job_id, report_format)},
        )


_VARY: Final = {"Vary": "Accept"}
_ROW_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["row", "errors", "record"],
    "properties": {
        "row": {"type": "integer", "description": "1-based number of the row in the body."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "record": {"description": "The record as sent, or its raw text if it could not be parsed."},
    },
}
_REPORT: Final[dict[str, Any]] = {
    "description": "The rejected rows.",
    "headers": ATTACHMENT,
    "content": {
        "application/json": {
            "schema": {
                "title": "BadRowPage",
                "type": "object",
                "required": ["items", "nextCursor"],
                "properties": {
                    "items": {"type": "array", "items": _ROW_SCHEMA},
                    "nextCursor": {"type": ["string", "null"]},
                },
            },
            "example": {"items": [ROW_EXAMPLE], "nextCursor": None},
        },
        "application/x-ndjson": {"schema": {"type": "string"}, "example": json.dumps(ROW_EXAMPLE) + "\n"},
        "text/csv": {
            "schema": {"type": "string"},
            "example": "platformName,note,row,error\r\n,seen twice,3,platformName must not be blank\r\n",
        },
        FileFormat.XLSX.media_type: {"schema": {"type": "string", "format": "binary"}},
    },
}
