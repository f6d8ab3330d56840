"""Tables that were nearly empty when PostgreSQL looked, and large a moment later: each row still costs as little.

A session plans the check of a foreign key once. Planned on a table known to have a few rows, it would read the whole
table for each row that is written, whatever became of the table meanwhile.
"""

import asyncio

from shop_site import OpenShop

from import_steps import NDJSON, execute, fetch, imported, ndjson

FEW = 10
SOME_IMPORTS = 20  # Enough for each connection of the worker to have made its plans.
MANY = 3_000
MOST_ROWS_A_PART = 20
MOST_LOOKS = 200


async def test_parts_with_many_new_makers_cost_no_more_than_those_with_few(open_shop: OpenShop) -> None:
    stored = 0

    async def import_parts(makers: list[str]) -> None:
        nonlocal stored
        parts = [{"partNumber": str(number), "maker": maker} for number, maker in enumerate(makers, stored)]
        stored += len(parts)
        job = await imported(open_shop.api, "/api/parts/bulk", content=ndjson(parts), headers=NDJSON)
        assert job["status"] == "Completed"

    async def add_makers(number: int) -> list[str]:
        await execute(
            open_shop.url,
            f"INSERT INTO shelf.makers (maker_name) SELECT 'maker ' || n FROM generate_series(1, {number}) AS n",
        )
        rows = await fetch(open_shop.url, "SELECT id::text FROM shelf.makers")
        return [identity for (identity,) in rows]

    async def makers_read() -> int:
        """Rows of makers read by all sessions, once they have reported every part."""
        for _ in range(MOST_LOOKS):
            ((read, told),) = await fetch(
                open_shop.url,
                "SELECT makers.seq_tup_read, parts.n_tup_ins FROM pg_stat_user_tables makers, pg_stat_user_tables parts"
                " WHERE makers.relname = 'makers' AND parts.relname = 'parts'",
            )
            if told >= stored:
                return int(read)
            # A session that idles tells what it still has to tell within ten seconds (PGSTAT_IDLE_INTERVAL).
            await asyncio.sleep(0.2)
        raise AssertionError(f"{told} of {stored} parts were told of")

    few = await add_makers(FEW)
    await import_parts(few)
    await execute(open_shop.url, "ANALYZE")
    for _ in range(SOME_IMPORTS):
        await import_parts(few)
    many = await add_makers(MANY)
    before = await makers_read()

    await import_parts(many)
    assert await makers_read() - before < len(many) * MOST_ROWS_A_PART
