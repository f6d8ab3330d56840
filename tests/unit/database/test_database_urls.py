"""URLs of SQLAlchemy are understood, others are refused by name, and no message holds a password."""

from collections.abc import Callable

import psycopg
import pytest
from pydantic import PostgresDsn, SecretStr
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from bulkport.database import UnusableDatabaseUrl, database_url, permanent_failure_in


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
        ("postgres://h/db", "postgresql://h/db"),
        ("postgresql+asyncpg://u:p%40@h:5433/db", "postgresql://u:p%40@h:5433/db"),
        ("postgresql+psycopg://u@h/db?sslmode=require", "postgresql://u@h/db?sslmode=require"),
        ("postgresql+asyncpg://h/db?ssl=require&prepared_statement_cache_size=0", "postgresql://h/db?sslmode=require"),
        ("postgresql+asyncpg:///db?host=/run/pg&ssl=false", "postgresql:///db?host=/run/pg&sslmode=disable"),
        ("host=h dbname=db", "host=h dbname=db"),
        ("postgresql:///db?host=@abstract", "postgresql:///db?host=%40abstract"),
        ("postgresql://u:p@h1:1,h2:2/db", "postgresql://u:p@h1:1,h2:2/db"),
    ],
)
def test_psycopg_connects_to_each_url(given: str, used: str) -> None:
    assert database_url(given) == used


@pytest.mark.parametrize("kind", [make_url, PostgresDsn, SecretStr])
def test_objects_that_hold_a_url_hide_its_password(kind: Callable[[str], object]) -> None:
    assert database_url(kind("postgresql+asyncpg://u:secret@h/db")) == "postgresql://u:secret@h/db"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "environment variable"),
        ("", "environment variable"),
        ("mysql+pymysql://u:secret@h/db", "is of mysql; Bulkport works on PostgreSQL"),
        ("sqlite:///file", "is of sqlite"),
        ("postgresql://u:secret@h/db?unknown=1", "malformed"),
        ("postgresql://u:secret%zz@h/db", "malformed"),
        ("u:secret@h", "malformed"),
        ("postgresql://u:my@secret@h/db", "percent-encoded"),
        ("postgresql://u:secret@h:port/db", "malformed"),
        (create_engine("postgresql+psycopg://u:secret@h/db"), "is text, not Engine; its URL is engine.url"),
        (5, "is text, not int"),
    ],
)
def test_a_mistake_is_named_without_the_password(given: object, words: str) -> None:
    with pytest.raises(UnusableDatabaseUrl, match=words) as caught:
        database_url(given)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("message", "is_refused"),
    [
        ('FATAL:  password authentication failed for user "ada"', True),
        ('FATAL:  role "ada" does not exist', True),
        ('FATAL:  database "shop" does not exist', True),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "ada", database "shop", no encryption', True),
        ("FATAL:  SASL authentication failed", True),
        ("FATAL:  no such database: shop", True),
        ("fe_sendauth: no password supplied", True),
        ("server does not support SSL, but SSL was required", True),
        ("FATAL:  the database system is starting up", False),
        ("FATAL:  sorry, too many clients already", False),
        ("Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?", False),
        ('connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory', False),
    ],
)
def test_a_connection_error_of_a_remote_server_is_reported(message: str, is_refused: bool) -> None:
    refusal = permanent_failure_in(psycopg.OperationalError(f"connection failed: {message}"))
    assert (refusal is not None) == is_refused
    assert refusal is None or " ".join(message.split()) in str(refusal)
