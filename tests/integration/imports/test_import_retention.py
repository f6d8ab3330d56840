"""Imports are kept for as long as the settings say after they have ended."""

import asyncio
from datetime import timedelta

import pytest
from shop_site import OpenShop

from bulkport.imports import retention
from bulkport.imports.retention import ImportPruner, ImportRetention, Pruned
from bulkport.pools import open_pool
from import_steps import NDJSON, execute, fetch, imported, ndjson

OFFERS = "/api/offers-reject/bulk"
COUNTS = (
    "SELECT (SELECT count(*) FROM bulkport.bulk_import_jobs), (SELECT count(*) FROM bulkport.import_chunks),"
    " (SELECT count(*) FROM bulkport.import_row_errors), (SELECT count(*) FROM offers)"
)


async def test_an_old_import_is_removed_with_its_report_and_its_rows_stay(small_chunks: OpenShop) -> None:
    for name in ("old", "young"):
        body = ndjson([{"sku": f"{name}{number}", "title": "t"} for number in range(30)] + [{"sku": ""}] * 3)
        job = await imported(small_chunks.api, OFFERS, content=body, headers=NDJSON)
        assert (job["successCount"], job["failureCount"]) == (30, 3)
        if name == "old":
            await execute(
                small_chunks.url, "UPDATE bulkport.bulk_import_jobs SET completed_at = now() - interval '5 days'"
            )
    (before,) = await fetch(small_chunks.url, COUNTS)
    async with open_pool(small_chunks.url, name="pruner", most=2) as pool:
        assert (await ImportPruner(pool, ImportRetention(timedelta(days=6))).prune()).imports == 0
        pruner = ImportPruner(pool, ImportRetention(timedelta(days=4)))
        side_by_side = await asyncio.gather(pruner.prune(), pruner.prune())
        assert sorted(pruned.imports for pruned in side_by_side) == [0, 1]
        assert (await pruner.prune()).imports == 0
    (after,) = await fetch(small_chunks.url, COUNTS)
    assert (before[0], before[2], before[3]) == (2, 6, 60)
    assert (after[0], after[2], after[3]) == (1, 3, 60)
    assert 0 < after[1] < before[1]
    answer = await small_chunks.api.get("/api/imports")
    assert [item["successCount"] for item in answer.json()["items"]] == [30]


async def test_a_large_report_is_removed_in_bounded_batches(shop_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH_ROWS", 40)
    await execute(
        shop_url,
        """
        INSERT INTO bulkport.bulk_import_jobs (resource, user_id, background_job_id, format, handling, status,
                                               total_records, total_chunks, body_bytes, completed_at)
        VALUES ('offers', 'sam', '1', 'ndjson', 'lenient', 'Failed', 100, 1, 1, now() - interval '1 day');
        INSERT INTO bulkport.import_row_errors SELECT id, number, '[]', '{}'
        FROM bulkport.bulk_import_jobs, generate_series(1, 100) number
        """,
    )
    async with open_pool(shop_url, name="pruner", most=1) as pool:
        pruner = ImportPruner(pool, ImportRetention(timedelta(0)))
        assert [await pruner.prune() for _ in range(4)] == [
            Pruned(0, 40, is_more=True),
            Pruned(0, 40, is_more=True),
            Pruned(1, 20, is_more=False),
            Pruned(0, 0, is_more=False),
        ]
