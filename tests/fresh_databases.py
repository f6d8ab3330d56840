"""Copies of databases that tests may do with as they like."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg


def in_database(server_url: str, name: str) -> str:
    """The same server with another database."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


@contextmanager
def fresh_database(server_url: str, template: str) -> Iterator[str]:
    """Connection URL of a copy of a database, dropped at the end."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        yield in_database(server_url, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
