"""An application with a resource of ten typed columns, for the measure of exact reading, and one of rows by key.

python -m bench.typed_site create-tables|worker|serve PORT       (with BENCH_TYPED_URL)
"""

import os
import sys
import uuid
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bulkport import Bulkport, ConflictPolicy, Resource, migrations
from bulkport.jobs.worker import run_until_signal


class Mood(Enum):
    """Labels of the enumeration."""

    HAPPY = "happy"
    SAD = "sad"
    CALM = "calm"


class Reading(BaseModel):
    """A row with a value of ten types."""

    number: int
    price: Decimal
    day: date
    at: datetime
    key: uuid.UUID
    mood: Mood
    is_paid: bool
    note: str
    tags: list[str]
    details: dict[str, Any]


COLUMNS = tuple(Reading.model_fields)
READINGS = Resource(name="readings", label="Reading", label_field="note", model=Reading, table="readings")


class Item(BaseModel):
    """A row that is found by its key."""

    sku: str
    name: str
    quantity: int


ITEM_COLUMNS = tuple(Item.model_fields)
ITEMS = Resource(
    name="items",
    label="Item",
    label_field="name",
    model=Item,
    table="items",
    conflict=ConflictPolicy.UPDATE,
    conflict_key=("sku",),
)
TABLES = """
    CREATE TYPE mood AS ENUM ('happy', 'sad', 'calm');
    CREATE TABLE readings (
        number integer NOT NULL, price numeric(12,2) NOT NULL, day date NOT NULL, at timestamptz NOT NULL,
        key uuid NOT NULL, mood mood NOT NULL, is_paid boolean NOT NULL, note text NOT NULL, tags text[] NOT NULL,
        details jsonb NOT NULL
    );
    CREATE TABLE copied_readings (LIKE readings INCLUDING ALL);
    CREATE TABLE items (sku text PRIMARY KEY, name text NOT NULL, quantity integer NOT NULL);
    CREATE TABLE copied_items (LIKE items INCLUDING ALL);
"""

DATABASE_URL = os.environ.get("BENCH_TYPED_URL", "")
bulkport = Bulkport(DATABASE_URL, resources=[READINGS, ITEMS])


async def anyone() -> str:
    """The one user of the measure."""
    return "bench"


app = FastAPI(lifespan=bulkport.lifespan)
app.include_router(bulkport.router(user=anyone, job_id_name="hangfireJobId"), prefix="/api")


def create_tables() -> None:
    """Bulkport's tables and those that are filled in turn."""
    with psycopg.connect(DATABASE_URL) as connection:
        migrations.upgrade(connection)
        connection.execute(TABLES)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["create-tables"]:
            create_tables()
        case ["worker"]:
            run_until_signal(bulkport.run_worker)
        case ["serve", port]:
            uvicorn.run(app, port=int(port), log_level="warning")
        case _:
            sys.exit(__doc__)
