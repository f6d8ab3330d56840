"""What all parts that speak to PostgreSQL have in common: in which schema Bulkport's tables live."""

from bulkport.database.schema import DEFAULT_SCHEMA, InvalidSchemaName, cursor_classes, in_schema, render, schema_name

__all__ = ["DEFAULT_SCHEMA", "InvalidSchemaName", "cursor_classes", "in_schema", "render", "schema_name"]
