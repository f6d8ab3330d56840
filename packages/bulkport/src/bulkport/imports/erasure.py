"""Erases a user: deletes everything that Bulkport stores about them."""

from typing import Final

from bulkport.pools import AsyncPool

# One statement, so that no new data of the user slips in between. Imported rows belong to the application and stay.
_ERASE: Final = """
    WITH imports AS MATERIALIZED (
        SELECT id FROM bulkport.bulk_import_jobs WHERE user_id = %(user)s
    ), errors AS (
        DELETE FROM bulkport.import_row_errors WHERE job_id IN (SELECT id FROM imports)
    ), unreported AS (
        DELETE FROM bulkport.import_unreported_errors WHERE job_id IN (SELECT id FROM imports)
    ), results AS (
        DELETE FROM bulkport.import_row_results WHERE job_id IN (SELECT id FROM imports)
    ), writes AS (
        DELETE FROM bulkport.import_writes WHERE job_id IN (SELECT id FROM imports)
    ), old_rows AS (
        DELETE FROM bulkport.import_old_rows WHERE job_id IN (SELECT id FROM imports)
    ), cancellations AS (
        DELETE FROM bulkport.import_cancellations WHERE job_id IN (SELECT id FROM imports)
    ), chunks AS (
        DELETE FROM bulkport.import_chunks WHERE job_id IN (SELECT id FROM imports)
    ), keys AS (
        DELETE FROM bulkport.idempotency_keys WHERE user_id = %(user)s
    ), hooks AS (
        DELETE FROM bulkport.webhooks WHERE user_id = %(user)s
    ), pulls AS (
        DELETE FROM bulkport.recurring_pulls WHERE user_id = %(user)s
    ), staged AS (
        DELETE FROM bulkport.uploads WHERE user_id = %(user)s
    )
    DELETE FROM bulkport.bulk_import_jobs WHERE user_id = %(user)s
"""


async def erase_user(pool: AsyncPool, user_id: str) -> int:
    """Delete the user's imports with their chunks and reports, webhooks, recurring pulls, uploads and keys.

    Imports that have not ended go too; a worker that carries one out finds it gone. Rows that imports wrote into the
    application's tables stay.

    Returns
    -------
    How many imports there were.
    """
    async with pool.connection() as connection:
        return (await connection.execute(_ERASE, {"user": user_id})).rowcount
