"""Tests of `books.py`, as an application has them for its resources."""

from decimal import Decimal

import psycopg

from books import BOOKS
from bulkport import Bulkport
from bulkport.testing import import_file

FILE = b"""ISBN,Title,Price
9780131103627,The C Programming Language,59.99
12345,A Short One,1.00
"""


async def test_good_books_are_stored_and_bad_ones_reported(library: Bulkport) -> None:
    result = await import_file(library, BOOKS, FILE)
    assert result.status == "PartialSuccess"
    assert (result.succeeded, result.failed) == (1, 1)
    (error,) = result.errors
    assert error.row == 2
    assert error.errors == {"isbn": ["isbn must match the pattern ^[0-9]{13}$, not '12345'"]}
    with psycopg.connect(library.database_url) as connection:
        assert connection.execute("SELECT title, price FROM books").fetchall() == [
            ("The C Programming Language", Decimal("59.99"))
        ]


async def test_a_dry_run_stores_nothing(library: Bulkport) -> None:
    result = await import_file(library, BOOKS, FILE, dry_run=True)
    assert result.counts["created"] == 1
    with psycopg.connect(library.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM books").fetchone() == (0,)
