"""The SQL statements that remove imports."""

from typing import Final

# An import that is locked is somebody else's to remove.
LOCK_OLD_IMPORTS: Final = """
    SELECT id FROM bulkport.bulk_import_jobs
    WHERE completed_at < clock_timestamp() - %(age)s::interval
    ORDER BY completed_at LIMIT %(imports)s FOR UPDATE SKIP LOCKED
"""

DELETE_ROW_ERRORS: Final = """
    DELETE FROM bulkport.import_row_errors WHERE (job_id, row_number) IN (
        SELECT job_id, row_number FROM bulkport.import_row_errors WHERE job_id = ANY(%(ids)s) LIMIT %(rows)s
    )
"""

DELETE_OLD_ROWS: Final = """
    DELETE FROM bulkport.import_old_rows WHERE id IN (
        SELECT id FROM bulkport.import_old_rows WHERE job_id = ANY(%(ids)s) LIMIT %(rows)s
    )
"""

DELETE_CHUNKS: Final = """
    DELETE FROM bulkport.import_chunks WHERE (job_id, chunk_number) IN (
        SELECT job_id, chunk_number FROM bulkport.import_chunks WHERE job_id = ANY(%(ids)s) LIMIT %(rows)s
    )
"""

DELETE_IMPORTS: Final = """
    WITH cancellations AS (
        DELETE FROM bulkport.import_cancellations WHERE job_id = ANY(%(ids)s)
    ), unreported AS (
        DELETE FROM bulkport.import_unreported_errors WHERE job_id = ANY(%(ids)s)
    ), results AS (
        DELETE FROM bulkport.import_row_results WHERE job_id = ANY(%(ids)s)
    ), writes AS (
        DELETE FROM bulkport.import_writes WHERE job_id = ANY(%(ids)s)
    ), old_rows AS (
        DELETE FROM bulkport.import_old_rows WHERE job_id = ANY(%(ids)s)
    )
    DELETE FROM bulkport.bulk_import_jobs WHERE id = ANY(%(ids)s)
"""
