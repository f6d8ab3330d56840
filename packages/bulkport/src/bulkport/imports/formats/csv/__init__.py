r"""CSV (text/csv): a header row and records, quoted as RFC 4180 says.

A record ends at a `\n` that is not inside quotes; `\r` before it belongs to the line end. Quotes open only at the
start of a field. What RFC 4180 does not allow (text after a closing quote, a quote inside an unquoted field, an open
quote at the end of the body) spoils one record, never its neighbours: the damaged field goes on, unquoted, to the next
delimiter or newline.
A quote that is opened by mistake takes in all up to the next quote, or to the end of the body when there is none: no
reader can distinguish it from a long field. What it took in is one bad record, with its whole text in the error report;
above `max_record_bytes` the body is refused.
A line without any character is blank and is not a record.
"""

from bulkport.imports.formats.csv.dialect import BadRecord, CsvDialect, parse_delimiter
from bulkport.imports.formats.csv.header import ColumnNames, CsvColumns, match_header, with_constants, without_report
from bulkport.imports.formats.csv.parser import csv_records
from bulkport.imports.formats.csv.records import CsvRecords
from bulkport.imports.formats.csv.splitter import CsvSplitter

__all__ = [
    "BadRecord",
    "ColumnNames",
    "CsvColumns",
    "CsvDialect",
    "CsvRecords",
    "CsvSplitter",
    "csv_records",
    "match_header",
    "parse_delimiter",
    "with_constants",
    "without_report",
]
