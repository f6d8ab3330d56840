"""A FastAPI application with one resource that can be imported in bulk; `docs/guides/own-resource.md` explains it.

export DATABASE_URL=postgresql://user:password@host/database
python examples/books.py create-tables
python examples/books.py worker                 # as many as you like, on any machine
python examples/books.py serve 8000
"""

import os
import sys
from datetime import date
from decimal import Decimal
from typing import Annotated

import psycopg
import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field, field_validator

from bulkport import Bulkport, ConflictPolicy, NotBlank, Resource, migrations, run_until_signal


class Book(BaseModel):
    """One book as a client sends it."""

    isbn: Annotated[str, Field(pattern=r"^[0-9]{13}$")]
    title: Annotated[str, NotBlank, Field(max_length=200)]
    price: Annotated[Decimal, Field(ge=0, max_digits=8, decimal_places=2)]
    published: date | None = None

    @field_validator("title")
    @classmethod
    def _is_no_shout(cls, title: str) -> str:
        if len(title) > 3 and title.isupper():
            raise ValueError("title must not be all capitals")
        return title


BOOKS = Resource(
    name="books",
    label="Book",
    label_field="title",
    model=Book,
    table="books",
    conflict=ConflictPolicy.UPDATE,
    conflict_key=("isbn",),
)

TABLE = """
    CREATE TABLE books (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        isbn       text NOT NULL UNIQUE,
        title      text NOT NULL,
        price      numeric(8, 2) NOT NULL,
        published  date,
        created_at timestamptz NOT NULL DEFAULT now()
    )
"""

DATABASE_URL = os.environ.get("DATABASE_URL", "")
USERS = {"key-of-ada": "ada", "key-of-bob": "bob"}

bulkport = Bulkport(DATABASE_URL, resources=[BOOKS])


async def current_user(x_api_key: Annotated[str, Header()] = "") -> str:
    """Who asks; an application has its own way to know."""
    user = USERS.get(x_api_key)
    if user is None:
        raise HTTPException(401, "Send a key in the header x-api-key.")
    return user


app = FastAPI(title="Books", lifespan=bulkport.lifespan)
app.include_router(bulkport.router(user=current_user), prefix="/api")


def work() -> None:
    """Run imports until Ctrl-C or SIGTERM; `bulkport worker books:bulkport` does the same."""
    run_until_signal(bulkport.run_worker)


def create_tables() -> None:
    """Bulkport's tables and the application's own; a real one does this in a migration."""
    with psycopg.connect(DATABASE_URL) as connection:
        migrations.upgrade(connection)
        connection.execute(TABLE)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["create-tables"]:
            create_tables()
        case ["worker"]:
            work()
        case ["serve", port]:
            uvicorn.run(app, port=int(port), log_level="warning")
        case _:
            sys.exit(__doc__)
