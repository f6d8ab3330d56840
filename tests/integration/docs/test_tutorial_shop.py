"""The tutorial's existing application gains imports, jobs and the dashboard in twelve lines, and they work."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "shop.py"
TENANT = {"x-tenant": "1"}


def added_lines() -> list[str]:
    text = EXAMPLE.read_text(encoding="utf-8")
    between = text.split("# --- Bulkport ---\n")[1].split("# --- until here ---")[0]
    return [line for line in between.splitlines() if line.strip()]


@pytest.fixture
async def shop(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModuleType]:
    monkeypatch.setenv("DATABASE_URL", database_url.replace("postgresql://", "postgresql+asyncpg://"))
    spec = importlib.util.spec_from_file_location("tutorial_shop", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tutorial_shop", module)
    spec.loader.exec_module(module)
    async with module.engine.begin() as connection:
        await connection.run_sync(module.Base.metadata.create_all)
    yield module
    await module.engine.dispose()


def test_the_tutorial_adds_twelve_lines_and_shows_them() -> None:
    assert len(added_lines()) <= 12
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for line in added_lines():
        assert line.removesuffix("  # noqa: E402") in tutorial


async def test_the_tutorial_application_imports_enqueues_and_shows_jobs(shop: ModuleType) -> None:
    stop = asyncio.Event()
    async with (
        shop.app.router.lifespan_context(shop.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(shop.app), base_url="http://shop.example") as api,
    ):
        worker = asyncio.create_task(shop.bulkport.run_worker(stop))
        try:
            assert (await api.post("/tenants", params={"name": "Acme"})).status_code == 201
            body = "sku,name\nA1,Anvil\nA1,Again\n,\nB2,Bell\n"
            answer = await api.post("/products/bulk", content=body, headers={**TENANT, "content-type": "text/csv"})
            assert answer.status_code == 202, answer.text
            assert answer.headers["location"] == f"/products/bulk/{answer.json()['id']}/status"
            status = await api.get(answer.headers["location"], params={"wait": 30}, headers=TENANT)
            assert status.json()["status"] == "PartialSuccess", status.text
            assert status.json()["successCount"] == 2
            async with asyncio.timeout(60):
                while (
                    not (await shop.bulkport.task_statistics())
                    or "welcome" not in (await api.get("/jobs/jobs", headers={"x-operator": "ada"})).text
                ):
                    await asyncio.sleep(0.05)
            assert (await api.get("/jobs/", headers={"x-operator": "ada"})).status_code == 200
            assert (await api.get("/jobs/")).status_code == 404
            # The application's own errors stay its own.
            assert (await api.post("/tenants")).status_code == 422
            assert (await api.get("/imports")).headers["content-type"] == "application/problem+json"
        finally:
            stop.set()
            await worker
