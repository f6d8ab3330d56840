"""`GET /{resource}/export`: a resource's rows as a file that imports again."""

import csv
import io
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from bulkport.fastapi.route import Authenticate, BulkportRoute
from bulkport.fastapi.schemas import WireQuery
from bulkport.fastapi.write_query import context_values
from bulkport.imports.export import Export, ExportQuery, read_primary_key
from bulkport.imports.formats import BodyFormat
from bulkport.imports.resource import Resource
from bulkport.imports.runtime import ImportRuntime
from bulkport.imports.table import read_table

_FORMATS: Final = {"csv": BodyFormat.CSV, "ndjson": BodyFormat.NDJSON}


class ExportParameters(WireQuery):
    """Query parameters of an export."""

    format: Annotated[Literal["csv", "ndjson"], Field(description="What the file is.")] = "csv"
    search: Annotated[
        str, Field(max_length=250, pattern=r"^[^\x00]*$", description="Text to find anywhere in a row, in any case.")
    ] = ""


def export_router(resource: Resource, runtime: Callable[[], ImportRuntime], authenticate: Authenticate) -> APIRouter:
    """`GET /{resource}/export`. The parameters are those of `bulk_router`."""
    router = APIRouter(prefix=f"/{resource.name}", tags=[resource.name], route_class=BulkportRoute)
    texts = tuple(
        column
        for column, name in zip(resource.column_names, resource.field_names, strict=True)
        if resource.model.model_fields[name].annotation is str
    )

    @router.get(
        "/export",
        name=f"export_{resource.name}",
        dependencies=[Depends(authenticate)],
        responses={200: _FILE},
        response_class=Response,
    )
    async def export(
        query: Annotated[ExportParameters, Query()],
        context: Annotated[dict[str, str | None], Depends(context_values(resource))],
    ) -> Response:
        """All rows, or those that `search` finds, in the order of their key, as a file that imports again."""
        pool = runtime().pool
        async with pool.connection() as connection:
            table = await read_table(connection, resource)
            key = await read_primary_key(connection, resource)
        export_format = _FORMATS[query.format]
        export = Export(pool, table, ExportQuery(key, query.search, texts, context))
        pages = export.pages(export_format)
        # The first page is read before the answer begins: what fails until then is a problem, not a broken file.
        first = await anext(pages, b"")
        return StreamingResponse(
            _whole(_header(export.header) if export_format is BodyFormat.CSV else b"", first, pages),
            media_type=export_format.media_type,
            headers={"Content-Disposition": f'attachment; filename="{resource.name}.{export_format}"'},
        )

    return router


async def _whole(header: bytes, first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield header + first
    async for page in rest:
        yield page


def _header(names: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(names)
    return text.getvalue().encode()


_FILE: Final[dict[str, Any]] = {
    "description": "The rows.",
    "content": {
        "text/csv": {"schema": {"type": "string"}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
}
