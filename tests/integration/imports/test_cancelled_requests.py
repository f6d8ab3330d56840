"""Clients that go away in the middle of a request leave nothing behind on the connections of the pool."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import import_shop as shop
import psycopg
from shop_site import opened

from bulkport.pools import is_reusable, open_pool
from import_steps import NDJSON, accepted, ndjson, settled

CONNECTIONS = 3
CANCELS = 60


async def test_a_request_cancelled_at_any_point_disturbs_no_later_one(shop_url: str) -> None:
    rows = ndjson(
        {
            "sku": f"A{number}",
            "title": "t",
            "quantity": number,
            "unitPrice": "1.5",
            "availableFrom": "2026-01-01",
            "size": "S",
        }
        for number in range(20)
    )
    offer = {"title": "t"}
    async with opened(shop_url) as site:
        import_id = await accepted(site.api, "/api/products/bulk", content=rows + b"{}\n", headers=NDJSON)
        await settled(site.api, import_id)
        paths = (
            f"/api/imports/{import_id}",
            f"/api/imports/{import_id}/errors",
            f"/api/products/bulk/{import_id}/status",
            "/api/products/export?format=ndjson",
            "/api/imports?resource=products",
        )
        bulkport = shop.shop_bulkport()
        app = shop.shop_app(bulkport, shop_url)
        async with (
            open_pool(shop_url, name="api", most=CONNECTIONS, acquire_seconds=20.0) as pool,
            bulkport.connect(pool=pool),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://shop.example", headers={"x-shopkeeper": "sam"}
            ) as api,
        ):
            answers = {path: (await api.get(path)).text for path in paths}
            sent = 0

            async def post() -> None:
                nonlocal sent
                sent += 1
                body = ndjson({"sku": f"{sent}-{number}", **offer} for number in range(10))
                await api.post("/api/offers-reject/bulk", content=body, headers=NDJSON)

            for path in paths:
                await _cancel_often(lambda path=path: api.get(path))  # type: ignore[misc]
            await _cancel_often(post)
            for path, answer in answers.items():
                assert (await api.get(path)).text == answer
            for item in (await api.get("/api/imports?resource=offers-reject&limit=100")).json()["items"]:
                # Taken in whole or not at all.
                assert (await settled(site.api, item["id"]))["successCount"] == 10
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(CONNECTIONS):
                    connection = await stack.enter_async_context(pool.connection())
                    assert is_reusable(connection)
                    assert connection.autocommit
                    for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
                        row = await (await connection.execute(f"SHOW {setting}")).fetchone()  # type: ignore[call-overload]
                        assert row == ("0",)


async def _cancel_often(call: Callable[[], Awaitable[Any]]) -> None:
    began = time.perf_counter()
    await call()
    seconds = time.perf_counter() - began
    for _ in range(CANCELS):
        caller = asyncio.ensure_future(call())
        await asyncio.wait([caller], timeout=random.uniform(0, 1.2 * seconds))
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError, psycopg.errors.QueryCanceled):
            await caller
