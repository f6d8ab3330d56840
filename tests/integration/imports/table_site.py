"""An application with one resource of its own, whatever its table is like."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Header

from bulkport import Bulkport, ImportLimits, Resource
from bulkport.fastapi import problems
from import_steps import NDJSON, execute, fetch, imported, messages, ndjson, running_worker
from table_sizes import CHUNK_BYTES


async def _someone(x_user: Annotated[str, Header()] = "sam") -> str:
    return x_user


@dataclass(frozen=True)
class TableSite:
    """The application, its worker and a client."""

    url: str
    api: httpx.AsyncClient
    resources: Sequence[Resource]
    app: FastAPI

    async def load(
        self,
        rows: Sequence[Mapping[str, Any]] | bytes,
        resource: Resource | None = None,
        *,
        query: str = "",
        headers: Mapping[str, str] = NDJSON,
    ) -> tuple[dict[str, Any], dict[int, list[tuple[str, str]]]]:
        """Import rows into the first resource, or another; returns the import and its row errors."""
        name = (resource or self.resources[0]).name
        body = rows if isinstance(rows, bytes) else ndjson(rows)
        job = await imported(self.api, f"/api/{name}/bulk{query}", content=body, headers=headers)
        return job, await messages(self.api, job["id"])

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return await fetch(self.url, query)


@asynccontextmanager
async def table_site(
    url: str,
    tables: str,
    *resources: Resource,
    worker_url: str | None = None,
    authorize: Any = None,
    worker: Mapping[str, Any] = MappingProxyType({}),
    **limits: Any,
) -> AsyncIterator[TableSite]:
    """The application on the database at `url`, with tables of its own.

    Parameters
    ----------
    worker_url:
        Where the worker connects, as another role say.
    """
    await execute(url, tables)
    bulkport = Bulkport(url, resources=resources, limits=ImportLimits(**{"chunk_bytes": CHUNK_BYTES} | limits))
    app = FastAPI()
    problems.install(app)
    app.include_router(bulkport.router(user=_someone, authorize=authorize, job_id_name="hangfireJobId"), prefix="/api")
    async with (
        bulkport.connect(),
        running_worker(bulkport, worker_url or url, **worker),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tables.example") as api,
    ):
        yield TableSite(url, api, resources, app)
