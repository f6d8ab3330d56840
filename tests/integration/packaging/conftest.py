"""The library's wheel, built once."""

from pathlib import Path

import psycopg
import pytest
from wheel_environment import build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library's wheel."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def empty_database(database_url: str) -> str:
    """A database without any table."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public, bulkport CASCADE")
        connection.execute("CREATE SCHEMA public")
    return database_url
