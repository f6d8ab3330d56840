"""A FastAPI application with one resource that can be imported in bulk; `docs/guides/own-resource.md` explains it.

export DATABASE_URL=postgresql://user:password@host/database
python examples/books.py create-tables
python examples/books.py worker                 # as many as you like, on any machine
python examples/books.py serve 8000
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Annotated

import psycopg
import uvicorn
from fastapi import FastAPI, Header
from pydantic import BaseModel, Field, field_validator

from bulkport import Bulkport, ConflictPolicy, NotBlank, Resource
from bulkport.errors import AuthenticationRequired
from bulkport.fastapi import problems
from bulkport.fastapi.middleware import EdgeMiddleware
from bulkport.identifiers import UserId
from bulkport.jobs.worker import run_until_signal
from bulkport.migrations import upgrade_sql


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
USERS = {"key-of-ada": UserId("ada"), "key-of-bob": UserId("bob")}

bulkport = Bulkport([BOOKS])


async def current_user(x_api_key: Annotated[str, Header()] = "") -> UserId:
    """Who asks; an application has its own way to know."""
    user = USERS.get(x_api_key)
    if user is None:
        raise AuthenticationRequired
    return user


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connected to the database for as long as the application serves."""
    async with bulkport.connect(DATABASE_URL):
        yield


app = FastAPI(title="Books", lifespan=lifespan)
app.add_middleware(EdgeMiddleware)  # trace ids, Cache-Control: no-store, and unexpected errors as problems
problems.install(app)
app.include_router(bulkport.router(authenticate=current_user))


def work() -> None:
    """Carry imports out until Ctrl-C or SIGTERM."""
    run_until_signal(lambda stop: bulkport.run_worker(DATABASE_URL, stop))


def create_tables() -> None:
    """Bulkport's tables and the application's own; a real one does this in a migration."""
    with psycopg.connect(DATABASE_URL) as connection:
        connection.execute(upgrade_sql().encode())
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
