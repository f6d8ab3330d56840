"""Body formats: media types, compression and records. Pure functions on bytes, no I/O.

Accepting a body (`intake`) reads in this order::

    form = parse_content_type(content_type)                  # JSON envelope, NDJSON or CSV
    unpack = decompressor(content_encoding, limits)          # identity, gzip, zstd
    splitter = NdjsonSplitter(limits)                        # or CsvSplitter(limits, delimiter)
    for data in body:
        for plain in unpack.feed(data):
            for chunk in splitter.feed(plain):
                store(chunk.payload, chunk.records)          # complete records, about `chunk_bytes` of them

and a worker takes a stored chunk apart again with `ndjson_records` or `csv_records`. Both sides hold one
definition of where a record ends, whatever the input: row numbers depend on it.
"""

from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.chunking import BodyChunk, RecordSplitter
from bulkport.imports.formats.compression import Decompressor, decompressor
from bulkport.imports.formats.csv import (
    BadRecord,
    ColumnNames,
    CsvColumns,
    CsvDialect,
    CsvRecords,
    CsvSplitter,
    csv_records,
    match_header,
    parse_delimiter,
)
from bulkport.imports.formats.envelope import envelope_steps, parse_envelope
from bulkport.imports.formats.json_array import JsonArraySplitter, is_array_of_objects
from bulkport.imports.formats.media_type import (
    MediaType,
    media_type_of_part,
    parse_content_type,
    parse_media_type,
)
from bulkport.imports.formats.ndjson import NdjsonSplitter, ndjson_records
from bulkport.imports.formats.prefer_header import Handling, parse_prefer, parse_wait

__all__ = [
    "BadRecord",
    "BodyChunk",
    "BodyFormat",
    "ColumnNames",
    "CsvColumns",
    "CsvDialect",
    "CsvRecords",
    "CsvSplitter",
    "Decompressor",
    "Handling",
    "JsonArraySplitter",
    "MediaType",
    "NdjsonSplitter",
    "RecordSplitter",
    "csv_records",
    "decompressor",
    "envelope_steps",
    "is_array_of_objects",
    "match_header",
    "media_type_of_part",
    "ndjson_records",
    "parse_content_type",
    "parse_delimiter",
    "parse_envelope",
    "parse_media_type",
    "parse_prefer",
    "parse_wait",
]
