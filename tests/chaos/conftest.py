"""Sites whose processes and databases may be killed."""

import os
import random
from collections.abc import Iterator

import psycopg
import pytest
from chaos.nursery import Nursery
from command_processes import Site, open_site

import forked_processes
from commandapi.auth.keys import create_key


@pytest.fixture
def chance() -> random.Random:
    """Chance that can be repeated: a failure shows the seed, and `CHAOS_SEED` sets it."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"CHAOS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
async def key(database_url: str) -> str:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        return await create_key(connection, "ada")


@pytest.fixture(scope="session")
def nursery() -> Nursery:
    return forked_processes.nursery()


@pytest.fixture
def site(nursery: Nursery, database_url: str, key: str, chance: random.Random) -> Iterator[Site]:
    with open_site(nursery, database_url, key, chance) as site:
        yield site
