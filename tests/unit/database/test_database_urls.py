"""URLs of SQLAlchemy are understood, others are refused by name, and no message holds a password."""

import pytest
from sqlalchemy.engine import make_url

from bulkport.database import UnusableDatabaseUrl, database_url


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
    ],
)
def test_what_psycopg_connects_to(given: str, used: str) -> None:
    assert database_url(given) == used


def test_a_url_object_of_sqlalchemy_keeps_its_password() -> None:
    assert database_url(make_url("postgresql+asyncpg://u:secret@h/db")) == "postgresql://u:secret@h/db"


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
        (5, "is text, not int"),
    ],
)
def test_a_mistake_is_named_without_the_password(given: object, words: str) -> None:
    with pytest.raises(UnusableDatabaseUrl, match=words) as caught:
        database_url(given)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
