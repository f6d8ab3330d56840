"""Exporting a resource's table as CSV, NDJSON, a workbook or Parquet, each of which imports again with equal values.

PostgreSQL writes the text itself (`COPY … TO STDOUT`), page by page along the primary key: no connection is held while
a slow client reads, memory holds one page, and each row that is there from the beginning to the end comes exactly once.
"""
