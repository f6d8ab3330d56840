"""One attempt of a background job at an import: the data it needs, read when it begins."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import AsyncConnection

from bulkport.identifiers import ImportId, UserId
from bulkport.imports import process_queries as queries
from bulkport.imports.body.member_names import MemberNames
from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.csv import CsvColumns, CsvDialect
from bulkport.imports.formats.prefer_header import Handling
from bulkport.imports.options import ReadingOptions
from bulkport.imports.resource import Reference, Resource, Resources
from bulkport.imports.short import is_short
from bulkport.imports.validation import ChunkValidator
from bulkport.imports.values.options import ValueOptions
from bulkport.imports.write_options import WriteMode, WriteOptions
from bulkport.imports.writing.references import NameResolver
from bulkport.imports.writing.self_references import refers_to_itself
from bulkport.imports.writing.table import TableCatalogue, TargetTable


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored chunk."""

    number: int
    first_row: int
    record_count: int
    payload: bytes


@dataclass(slots=True)
class Attempt:
    """An import job as a chunk worker works on it."""

    job_id: ImportId
    user_id: UserId
    resource: Resource
    handling: Handling
    format: BodyFormat
    dialect: CsvDialect | None
    columns: CsvColumns | None
    reading: ReadingOptions
    member_names: MemberNames
    total_chunks: int
    number_without_progress: int
    """This attempt and those right before it in which no chunk was finished."""
    last_fault: str | None
    sole_chunk: Chunk | None
    """The only chunk of an import that has no other, if it is pending; read, not locked."""
    table: TargetTable
    write: WriteOptions
    validator: ChunkValidator
    max_reported_rows: int = 100_000
    """Bad rows that are reported one by one."""
    resolvers: dict[str, NameResolver] = field(default_factory=dict)
    context: Mapping[str, str | None] = field(default_factory=dict)
    """Text by column of values that the request sets and rows cannot."""

    @property
    def is_short(self) -> bool:
        """Whether it has so few rows that they take only milliseconds."""
        chunk = self.sole_chunk
        return chunk is not None and is_short(1, chunk.record_count, len(chunk.payload))

    @property
    def writes_whole(self) -> bool:
        """Whether chunks are validated first and written together: all or nothing, or a dry run."""
        return self.handling is Handling.STRICT or self.write.dry_run

    @property
    def goes_in_order(self) -> bool:
        """Whether one chunk worker alone takes the chunks, in the order of the body."""
        return self.resource.keeps_order

    @property
    def refers_to_itself(self) -> bool:
        """Whether rows may refer to other rows of the import."""
        return bool(self.table.facts.self_references) or any(
            refers_to_itself(self.resource, reference) for reference in self.resource.references
        )

    def resolver(self, reference: Reference) -> NameResolver:
        """A resolver with an empty cache."""
        return NameResolver(reference, self.context)


async def begin_attempt(
    connection: AsyncConnection[Any],
    resources: Resources,
    tables: TableCatalogue,
    job_id: ImportId,
    *,
    joins: bool,
) -> Attempt | None:
    """Begin to work on an import; None when it has settled already, or is gone.

    Parameters
    ----------
    joins:
        Whether this is an assistant: it joins the current attempt and does not count as one of its own.
    """
    if joins:
        await connection.execute(queries.MARK_STARTED, {"job_id": job_id})
    statement = queries.JOIN_ATTEMPT if joins else queries.BEGIN_ATTEMPT
    row = await (await connection.execute(statement, {"job_id": job_id})).fetchone()
    if row is None:
        return None
    name, user_id, handling, body_format, csv, reading, writing, total_chunks, fruitless, fault, *chunk = row
    write = WriteOptions.of_stored(writing, resources[name].default_mode)
    resource = resources[name].for_mode(write.mode)
    options = ReadingOptions.from_json(reading)
    table = await tables.get(connection, resource)
    wants_results = write.results or resource.after_chunk is not None
    table = replace(
        table,
        wants_results=wants_results,
        wants_differences=write.dry_run,
        keeps_old_rows=resource.undo == "full" and not write.dry_run,
        import_id=job_id,
    )
    return Attempt(
        job_id=job_id,
        user_id=user_id,
        resource=resource,
        handling=Handling(handling),
        format=BodyFormat(body_format) if total_chunks else BodyFormat.NDJSON,  # unknown until its body is here
        dialect=CsvDialect.from_json(csv) if csv else None,
        columns=CsvColumns(csv["fields"], csv["unknown"], [(name, text) for name, text in csv["constants"]])
        if csv
        else None,
        reading=options,
        member_names=MemberNames(resource, options),
        total_chunks=total_chunks,
        number_without_progress=fruitless,
        last_fault=fault,
        sole_chunk=Chunk(*chunk) if total_chunks == 1 and chunk[-1] is not None else None,
        table=table,
        write=write,
        context=write.context,
        validator=ChunkValidator(
            resource,
            streamed=body_format != BodyFormat.JSON,
            options=ValueOptions.of(options),
            columns=dict(zip(resource.field_names, table.types, strict=True)),
            tracks_given=write.mode in (WriteMode.UPSERT, WriteMode.UPDATE),
        ),
        resolvers={reference.field: NameResolver(reference, write.context) for reference in resource.references},
    )
