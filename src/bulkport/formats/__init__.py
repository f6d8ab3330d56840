"""What a body is made of: media types, compression, records. Pure functions on bytes, no I/O.

Accepting a body (`intake`) reads in this order::

    form = parse_content_type(content_type)                  # JSON envelope, NDJSON or CSV
    unpack = decompressor(content_encoding, limits)          # identity, gzip, zstd
    splitter = NdjsonSplitter(limits)                        # or CsvSplitter(limits, delimiter)
    for data in body:
        for plain in unpack.feed(data):
            for piece in splitter.feed(plain):
                store(piece.payload, piece.records)          # complete records, about `chunk_bytes` of them

and a worker takes a stored piece apart again with `ndjson_records` or `csv_records`. Both sides hold one
definition of where a record ends, whatever the input: row numbers depend on it.
"""

from bulkport.formats.compression import Decompressor, decompressor
from bulkport.formats.csv import (
    BadRecord,
    CsvColumns,
    CsvDialect,
    CsvRecords,
    CsvSplitter,
    csv_records,
    match_header,
    parse_delimiter,
)
from bulkport.formats.envelope import parse_envelope
from bulkport.formats.media_type import BodyFormat, parse_content_type
from bulkport.formats.ndjson import NdjsonSplitter, ndjson_records
from bulkport.formats.pieces import Piece, RecordSplitter
from bulkport.formats.preferences import Handling, parse_prefer

__all__ = [
    "BadRecord",
    "BodyFormat",
    "CsvColumns",
    "CsvDialect",
    "CsvRecords",
    "CsvSplitter",
    "Decompressor",
    "Handling",
    "NdjsonSplitter",
    "Piece",
    "RecordSplitter",
    "csv_records",
    "decompressor",
    "match_header",
    "ndjson_records",
    "parse_content_type",
    "parse_delimiter",
    "parse_envelope",
    "parse_prefer",
]
