"""A file as the accepting side and a worker read it, without a database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bulkport import NotBlank, Resource
from bulkport.identifiers import UserId
from bulkport.imports.body.member_names import MemberNames
from bulkport.imports.body.options_query import parse_reading
from bulkport.imports.body.upload import ChunkReader, Upload
from bulkport.imports.formats import BadRecord, BodyFormat, Handling, csv_records
from bulkport.imports.formats.csv import with_constants
from bulkport.imports.formats.ndjson import ndjson_records
from bulkport.limits import ImportLimits


class Article(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    article_name: Annotated[str, NotBlank]
    price: float | None = None
    size: str | None = None


ARTICLES = Resource(
    name="articles",
    label="Article",
    label_field="article_name",
    model=Article,
    table="articles",
    aliases={"article_name": ["Artikel", "Bezeichnung", "商品名", "name"], "size": ["Größe", "サイズ"]},
)


@dataclass
class FileRead:
    """What was read of a file."""

    rows: list[Any]
    """A dict of texts by field, or the `BadRecord`; the bytes of a record of JSON."""
    reading: dict[str, Any]
    warnings: list[str]
    unknown: list[str]
    counts: list[int]
    """Records of each piece."""

    def named(self, field: str = "article_name") -> list[Any]:
        """The texts of one field; messages in the place of bad records."""
        return [row.message if isinstance(row, BadRecord) else row.get(field) for row in self.rows]


def read_file(
    body: bytes,
    *query: tuple[str, str],
    format_: BodyFormat = BodyFormat.CSV,
    resource: Resource = ARTICLES,
    bite: int = 1 << 20,
    limits: ImportLimits | None = None,
) -> FileRead:
    """Read a body that arrives in small chunks, as a request with this query does."""
    return asyncio.run(_read_file(body, query, format_, resource, bite, limits or ImportLimits()))


async def _read_file(  # noqa: PLR0917
    body: bytes,
    query: tuple[tuple[str, str], ...],
    format_: BodyFormat,
    resource: Resource,
    bite: int,
    limits: ImportLimits,
) -> FileRead:
    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), bite):
            yield body[start : start + bite]

    options = parse_reading(query).over(resource.reading)
    upload = Upload(
        resource=resource,
        user_id=UserId("ada"),
        format=format_,
        content_encoding=None,
        handling=Handling.LENIENT,
        body=parts(),
        reading=options,
    )
    reader = ChunkReader(upload, upload.body, format_, limits)
    rows: list[Any] = []
    counts = []
    async for piece in reader:
        counts.append(piece.records)
        if reader.dialect is None:
            names = MemberNames(resource, reader.reading)
            rows += [names(record) if names else record for record in ndjson_records(piece.payload)]
            continue
        assert reader.columns is not None
        cells, columns = with_constants(csv_records(piece.payload, reader.dialect), reader.columns)
        assert len(cells) == piece.records
        for row in cells:
            found = (
                row
                if isinstance(row, BadRecord)
                else {field: cell for field, cell in zip(columns.fields, row, strict=True) if field}
            )
            rows.append(found)
    unknown = reader.columns.unknown if reader.columns else []
    return FileRead(rows, reader.reading.to_json(), reader.warnings, unknown, counts)
