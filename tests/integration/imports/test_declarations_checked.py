"""What is wrong with a declaration is named when an application starts, and by an import that meets it all the same."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import BaseModel, Field

from bulkport import Bulkport, ConflictPolicy, Reference, Resource
from bulkport.testing import drain, import_file


class Book(BaseModel):
    title: str = Field(max_length=100)
    pages: int = Field(ge=0, le=100_000)


class Translation(BaseModel):
    title: str
    pages: int
    author_id: int


@dataclass(frozen=True)
class Case:
    tables: str
    mistake: str
    """The whole line, but for the name of the role."""
    fault: str
    """A part of the import's status."""
    resource: dict[str, Any] = field(default_factory=dict)
    grants: str | None = None
    """The permissions of a role, and the owner of the import; None for the role itself."""


UPDATES = {"conflict": ConflictPolicy.UPDATE, "conflict_key": ("title",)}
AUTHOR = Reference(field="author_id", table="authors", label="author")
CASES = {
    "missing table": Case(
        "",
        "the table books does not exist; create it, or name its schema where it is not in the search path: "
        "table='schema.table'",
        "table books does not exist",
    ),
    "missing column": Case(
        "CREATE TABLE books (title text)",
        "the table books has no column pages for the field pages; add the column, or name another one: "
        "columns={'pages': …}",
        "pages",
    ),
    "no unique index": Case(
        "CREATE TABLE books (title text, pages int)",
        "no unique index of books is on (title), which conflict_key names; create one that is not deferrable: "
        "CREATE UNIQUE INDEX ON books (title)",
        "unique",
        UPDATES,
    ),
    "partial unique index": Case(
        "CREATE TABLE books (title text, pages int); CREATE UNIQUE INDEX ON books (title) WHERE pages > 1",
        "no unique index of books is on (title), which conflict_key names; give the condition of its partial index: "
        "conflict_where='(pages > 1)'",
        "unique",
        UPDATES,
    ),
    "key that cannot be compared": Case(
        "CREATE TABLE books (title point, pages int)",
        "the key's column title is point, whose values PostgreSQL cannot compare; name a key of other columns",
        "title is point",
        {"key": ("title",), "conflict": ConflictPolicy.UPDATE},
    ),
    "generated column": Case(
        "CREATE TABLE books (title text, pages int GENERATED ALWAYS AS (length(title)) STORED)",
        "the column pages of books is generated, so nothing can be written to it; take the field pages out of the "
        "model",
        "pages",
    ),
    "identity column": Case(
        "CREATE TABLE books (title text, pages int GENERATED ALWAYS AS IDENTITY)",
        "the column pages of books is GENERATED ALWAYS AS IDENTITY, so nothing can be written to it; take the field "
        "pages out of the model",
        "pages",
    ),
    "column that nobody fills": Case(
        "CREATE TABLE books (title text, pages int, shelf text NOT NULL)",
        "the column shelf of books is NOT NULL without a default, and no field fills it; give it a default, or add a "
        "field to the model",
        "shelf",
    ),
    "type that cannot hold the field": Case(
        "CREATE TABLE books (title text, pages date)",
        "the column pages of books is date, which cannot hold the field pages: it is int; change the column's type or "
        "the field's",
        "pages",
    ),
    "type that cannot hold every value": Case(
        "CREATE TABLE books (title text, pages smallint)",
        "the column pages of books is smallint, which cannot hold the field pages: it accepts numbers up to 100000; "
        "change the column's type or the field's",
        "pages",
    ),
    "view that takes no rows": Case(
        "CREATE TABLE stored (title text, pages int); CREATE VIEW books AS SELECT DISTINCT title, pages FROM stored",
        "books is a view that takes no rows; name a table, or give the view an INSTEAD OF INSERT trigger",
        "books",
    ),
    "missing table of a reference": Case(
        "CREATE TABLE books (title text, pages int, author_id int)",
        "the table authors, which the reference author_id names, does not exist; create it, or name its schema as well",
        "authors",
        {"model": Translation, "references": (AUTHOR,)},
    ),
    "missing right to insert": Case(
        "CREATE TABLE books (title text, pages int)",
        "the role ROLE may not INSERT into books; GRANT INSERT ON books TO ROLE",
        "permission denied for table books",
        grants="GRANT SELECT ON books TO ROLE",
    ),
    "missing right to update": Case(
        "CREATE TABLE books (title text PRIMARY KEY, pages int)",
        "the role ROLE may not UPDATE books; GRANT UPDATE ON books TO ROLE",
        "permission denied for table books",
        UPDATES,
        grants="GRANT SELECT, INSERT ON books TO ROLE",
    ),
    "missing right to a sequence": Case(
        "CREATE TABLE books (id serial, title text, pages int)",
        "the role ROLE may not use the sequence books_id_seq, which fills id; GRANT USAGE ON SEQUENCE books_id_seq TO "
        "ROLE",
        "permission denied for sequence",
        grants="GRANT SELECT, INSERT ON books TO ROLE",
    ),
    "missing right to a schema": Case(
        "CREATE SCHEMA shelf; CREATE TABLE shelf.books (title text, pages int)",
        "the role ROLE may not use the schema of shelf.books; GRANT USAGE ON SCHEMA shelf TO ROLE",
        "permission denied for schema shelf",
        {"table": "shelf.books"},
        grants="GRANT SELECT, INSERT ON shelf.books TO ROLE",
    ),
    "missing right to a reference": Case(
        "CREATE TABLE authors (id int PRIMARY KEY); CREATE TABLE books (title text, pages int, author_id int)",
        "the role ROLE may not read and lock authors, which the reference author_id names; GRANT SELECT, UPDATE (id) "
        "ON authors TO ROLE",
        "permission denied for table authors",
        {"model": Translation, "references": (AUTHOR,)},
        grants="GRANT SELECT, INSERT ON books TO ROLE",
    ),
}
LEAST = """
    GRANT USAGE ON SCHEMA bulkport TO ROLE;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bulkport TO ROLE;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA bulkport TO ROLE;
"""
ROWS = b"title,pages,author_id\nEmma,474,1\nSanditon,40000,1\n"


@pytest.fixture
def role(server_url: str) -> Iterator[str]:
    """A role that may log in and owns nothing."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(name)))
    yield name
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture(params=CASES, ids=lambda name: name)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def books(case: Case, database_url: str, role: str) -> Iterator[Bulkport]:
    def granted(statements: str) -> bytes:
        return statements.replace("ROLE", role).encode()

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(case.tables.encode())
        if case.grants is not None:
            connection.execute(granted(LEAST))
            connection.execute(granted(case.grants))
    declared = {"model": Book, "table": "books", **case.resource}
    url = database_url if case.grants is None else as_role(database_url, role)
    yield Bulkport(url, resources=[Resource(name="books", label="Book", label_field="title", **declared)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))


async def test_a_faulty_declaration_is_reported_at_startup_and_by_the_import_with_its_remedy(
    books: Bulkport, case: Case, database_url: str, role: str, library_log: pytest.LogCaptureFixture
) -> None:
    line = f"resource 'books': {case.mistake.replace('ROLE', role)}"
    (mistake,) = await books.check()
    assert str(mistake) == line
    await drain(books)
    assert any(line in record.getMessage() for record in library_log.records), library_log.text

    result = await import_file(books, "books", ROWS)
    assert result.status in ("Failed", "PartialSuccess")
    assert case.fault in (result.summary or "")
    async with books.connect():
        job = await books.get_import(result.import_id)
    assert job is not None
    assert job.attempts <= 1

    if case.grants is None:
        return
    with psycopg.connect(database_url) as connection:
        connection.execute(mistake.remedy.encode())
        connection.execute("INSERT INTO authors VALUES (1)" if "authors" in case.tables else "SELECT 1")
    assert await books.check() == []
    result = await import_file(books, "books", ROWS)
    assert (result.status, result.succeeded) == ("Completed", 2)


async def test_a_column_filled_from_the_context_must_exist(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE books (title text, pages int, seq int GENERATED ALWAYS AS IDENTITY)")
    context = {"org_id": int, "seq": int}
    resource = Resource(name="books", label="Book", label_field="title", model=Book, table="books", context=context)
    missing, computed = await Bulkport(database_url, resources=[resource]).check()
    assert str(missing) == (
        "resource 'books': the table books has no column org_id, which context fills; add the column, or name it in "
        "context= as the table does"
    )
    assert str(computed) == (
        "resource 'books': the column seq of books computes itself, so context cannot fill it; take it out of context="
    )
