"""The SQL that a migration runs for the job engine, under names that do not tell which engine it is."""

from bulkport.jobs.postgres.schema import drop_schema_sql as drop_engine_schema_sql
from bulkport.jobs.postgres.schema import schema_sql as engine_schema_sql

__all__ = ["drop_engine_schema_sql", "engine_schema_sql"]
