"""A running Command API for each test, or for the tests of a module that run in its event loop."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from catalogue_site import CatalogueSite, opened

from fresh_databases import fresh_database


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[CatalogueSite]:
    """The Command API with a worker, on a fresh database."""
    async with opened(database_url) as site:
        yield site


@pytest.fixture
async def idle_site(database_url: str) -> AsyncIterator[CatalogueSite]:
    """The Command API without a worker, so that queued imports stay queued."""
    async with opened(database_url, worker=False) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site(server_url: str, migrated_template: str) -> AsyncIterator[CatalogueSite]:
    """Like `site`, for tests that wait for the end of their imports and begin with `emptied`."""
    with fresh_database(server_url, migrated_template) as url:
        async with opened(url) as site:
            yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_idle_site(server_url: str, migrated_template: str) -> AsyncIterator[CatalogueSite]:
    """As `idle_site`, for tests that begin with `emptied`."""
    with fresh_database(server_url, migrated_template) as url:
        async with opened(url, worker=False) as site:
            yield site
