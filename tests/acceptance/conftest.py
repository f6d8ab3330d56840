"""A running Command API for each test."""

from collections.abc import AsyncIterator

import pytest
from catalogue_site import CatalogueSite, opened


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[CatalogueSite]:
    """The Command API with a worker, on a fresh database."""
    async with opened(database_url) as site:
        yield site


@pytest.fixture
async def idle_site(database_url: str) -> AsyncIterator[CatalogueSite]:
    """The Command API without a worker: what is queued stays queued."""
    async with opened(database_url, worker=False) as site:
        yield site
