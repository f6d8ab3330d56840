"""What all parts that speak to PostgreSQL have in common: URLs, and the schema of Bulkport's tables."""

from bulkport.database.passwords import mask_passwords
from bulkport.database.refusal import DatabaseRefused, refusal_in
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
    "refusal_in",
    "render",
    "schema_name",
]
