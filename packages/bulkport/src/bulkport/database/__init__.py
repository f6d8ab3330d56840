"""Database URLs and the schema of Bulkport's tables, for everything that uses PostgreSQL."""

from bulkport.database.connection_errors import DatabaseRefused, permanent_failure_in
from bulkport.database.passwords import mask_passwords
from bulkport.database.schema import (
    DEFAULT_SCHEMA,
    InvalidSchemaName,
    cursor_classes,
    in_schema,
    render,
    schema_name,
)
from bulkport.database.url import UnusableDatabaseUrl, database_url

__all__ = [
    "DEFAULT_SCHEMA",
    "DatabaseRefused",
    "InvalidSchemaName",
    "UnusableDatabaseUrl",
    "cursor_classes",
    "database_url",
    "in_schema",
    "mask_passwords",
    "permanent_failure_in",
    "render",
    "schema_name",
]
