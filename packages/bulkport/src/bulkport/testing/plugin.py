"""Fixtures for pytest; the package registers them, so nothing is to be imported.

| fixture | scope | what it is |
|---|---|---|
| `bulkport_server_url` | session | URL of a PostgreSQL: that of `BULKPORT_TEST_DATABASE_URL`, else an embedded one |
| `bulkport_create_tables` | session | to be overridden: a function that makes the application's tables at a URL |
| `bulkport_schema` | session | to be overridden: the schema of Bulkport's tables |
| `bulkport_database_url` | function | URL of a fresh database with all these tables |

::

    # conftest.py
    @pytest.fixture(scope="session")
    def bulkport_create_tables():
        return create_tables

    @pytest.fixture
    def shop(bulkport_database_url, monkeypatch):
        monkeypatch.setattr(bulkport, "database_url", bulkport_database_url)
        return bulkport
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from bulkport.extras import require_extra

require_extra("testing", "pytest")

import pytest

DATABASE_VARIABLE = "BULKPORT_TEST_DATABASE_URL"
"""Names a server whose user may create databases, in place of the embedded one."""


@pytest.fixture(scope="session")
def bulkport_server_url() -> Iterator[str]:
    """URL of a PostgreSQL server where tests may create databases."""
    # Imported when asked for: pytest loads plugins before anything is measured or patched.
    from bulkport.testing.postgres import postgres_server  # noqa: PLC0415

    with ExitStack() as stack:
        yield os.environ.get(DATABASE_VARIABLE) or stack.enter_context(postgres_server())


@pytest.fixture(scope="session")
def bulkport_create_tables() -> Callable[[str], None] | None:
    """Creates the application's own tables in the database with this URL; override it if there are any."""
    return None


@pytest.fixture(scope="session")
def bulkport_schema() -> str:
    """Schema of Bulkport's tables; override it if it is not `bulkport`."""
    return "bulkport"


@pytest.fixture(scope="session")
def bulkport_template_url(
    bulkport_server_url: str, bulkport_create_tables: Callable[[str], None] | None, bulkport_schema: str
) -> Iterator[str]:
    """URL of the database that each test's is a copy of."""
    from bulkport.testing.postgres import migrated_database  # noqa: PLC0415 # as above

    with migrated_database(bulkport_server_url, bulkport_create_tables, schema=bulkport_schema) as url:
        yield url


@pytest.fixture
def bulkport_database_url(bulkport_server_url: str, bulkport_template_url: str) -> Iterator[str]:
    """URL of a fresh database with Bulkport's tables and the application's; dropped after the test."""
    from bulkport.testing.postgres import new_database  # noqa: PLC0415 # as above

    with new_database(bulkport_server_url, template=bulkport_template_url) as url:
        yield url
