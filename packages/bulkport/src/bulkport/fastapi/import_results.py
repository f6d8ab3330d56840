"""`GET /imports/{id}/results`: the outcome of each row, if the import requested results."""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.requests import Request

from bulkport.errors import NoResults, ValidationFailed
from bulkport.fastapi.error_report import chosen_format
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.schemas import JobId, WireQuery
from bulkport.identifiers import MAX_BIGINT, UserId
from bulkport.imports.formats import BodyFormat
from bulkport.imports.read import MAX_REPORT_PAGE, ImportJob, get_job
from bulkport.imports.results import list_results, result_lines, result_pages
from bulkport.imports.runtime import ImportRuntime


class ReportQuery(WireQuery):
    """Query parameters of an import's report of bad rows."""

    limit: Annotated[int, Field(ge=1, le=MAX_REPORT_PAGE, description="Rows per page of JSON.")] = 100
    cursor: Annotated[str | None, Field(description="`nextCursor` of the previous page.")] = None


class ResultsQuery(ReportQuery):
    """Query parameters of what became of an import's rows."""

    format: Annotated[
        Literal["json", "ndjson", "csv"] | None, Field(description="Format of the response; overrides `Accept`.")
    ] = None


def add_results_route(
    router: APIRouter, runtime: Callable[[], ImportRuntime], authenticate: Callable[..., Any]
) -> None:
    """Add the route to those of imports."""

    @router.get("/{job_id}/results", responses={200: _RESULTS, 409: _NOT_KEPT}, response_class=Response)
    async def get_import_results(
        job_id: JobId,
        request: Request,
        user_id: Annotated[UserId, Depends(authenticate)],
        query: Annotated[ResultsQuery, Query()],
    ) -> Response:
        """The outcome of each row, in row order, of an import sent with `?results=ids`; formats as for `errors`."""
        after_row = 0 if query.cursor is None else position(query.cursor)
        if query.format is None:
            report_format = chosen_format(field_value(request.headers, "accept"))
        else:
            report_format = BodyFormat(query.format)
        async with runtime().of_user(user_id).connection() as connection:
            job = await get_job(connection, job_id, user_id)
            require_results(job)
            if report_format is BodyFormat.JSON:
                found = await list_results(connection, job_id, after_row=after_row, limit=query.limit + 1)
                page = found[: query.limit]
                cursor = f'"{page[-1].row}"' if len(found) > query.limit else "null"
                items = ",".join(result.json() for result in page)
                body = f'{{"items":[{items}],"nextCursor":{cursor}}}'
                return Response(body, media_type="application/json", headers=_VARY)
        lines = result_lines(report_format, result_pages(runtime().of_user(user_id), job_id, after_row))
        return StreamingResponse(lines, media_type=report_format.media_type, headers=_VARY)


def require_results(job: ImportJob) -> None:
    """Require that an import's results were stored; raises NoResults."""
    writing = job.writing or {}
    if writing.get("dryRun"):
        raise NoResults(
            f"Import {job.id} was a dry run, which stores no results. It counts the outcomes of its rows, and its "
            "error report has the rejected rows."
        )
    if writing.get("results") != "ids":
        raise NoResults(
            f"Import {job.id} stored no results: send imports with ?results=ids. Its error report has the rejected "
            "rows."
        )


def position(cursor: str) -> int:
    """The row, or import, that a page ended with."""
    if cursor.isascii() and cursor.isdecimal() and len(cursor) < 20 and int(cursor) <= MAX_BIGINT:
        return int(cursor)
    raise ValidationFailed({"cursor": ["cursor must be the nextCursor of an earlier page"]})


_VARY: Final = {"Vary": "Accept"}
_NOT_KEPT: Final[dict[str, Any]] = {"description": "The import was not sent with `?results=ids`, or is a dry run."}
_RESULTS: Final[dict[str, Any]] = {
    "description": "The rows.",
    "content": {
        "application/json": {
            "schema": {
                "title": "RowResultPage",
                "type": "object",
                "required": ["items", "nextCursor"],
                "properties": {
                    "items": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["row", "outcome", "id"],
                            "properties": {
                                "row": {"type": "integer", "description": "1-based number of the row in the body."},
                                "outcome": {
                                    "enum": ["created", "updated", "unchanged", "skipped", "deleted", "failed"]
                                },
                                "id": {"type": ["string", "null"], "description": "Primary key of the stored row."},
                            },
                        },
                    },
                    "nextCursor": {"type": ["string", "null"]},
                },
            },
            "example": {"items": [{"row": 1, "outcome": "created", "id": "17"}], "nextCursor": "1"},
        },
        "application/x-ndjson": {
            "schema": {"type": "string"},
            "example": '{"row":1,"outcome":"created","id":"17"}\n{"row":2,"outcome":"failed","id":null}\n',
        },
        "text/csv": {"schema": {"type": "string"}, "example": "row,outcome,id\r\n1,created,17\r\n2,failed,\r\n"},
    },
}
