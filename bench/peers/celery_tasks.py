"""The Celery application: tasks that validate rows with Pydantic and store them with SQLAlchemy.

Run by `celery -A bench.peers.celery_tasks worker`. Broker and database come by `BENCH_REDIS_URL` and
`BENCH_DATABASE_URL`.
"""

import os
import time
from functools import cache
from typing import Annotated

from celery import Celery  # type: ignore[import-untyped]  # ships no types
from pydantic import BaseModel, StringConstraints, TypeAdapter
from sqlalchemy import Engine, create_engine, insert, select
from sqlalchemy.orm import Session

from bench.peers.orm_loop import Platform, sqlalchemy_url

app = Celery("bench", broker=os.environ.get("BENCH_REDIS_URL"), backend=os.environ.get("BENCH_REDIS_URL"))


class PlatformRow(BaseModel):
    """One row, as a task validates it."""

    platform_name: Annotated[str, StringConstraints(min_length=1, max_length=100)]


_rows = TypeAdapter(list[PlatformRow])


@cache
def engine() -> Engine:
    """One engine in each worker process, made after the fork."""
    return create_engine(sqlalchemy_url(os.environ["BENCH_DATABASE_URL"]))


@app.task  # type: ignore[untyped-decorator]  # ships no types
def store(rows: list[dict[str, str]], how: str) -> int:
    """Store one task's rows in one transaction."""
    valid = _rows.validate_python(rows)
    with Session(engine()) as session:
        if how == "core":
            session.execute(insert(Platform), [row.model_dump() for row in valid])
        else:
            session.add_all([Platform(platform_name=row.platform_name) for row in valid])
        session.commit()
    return len(valid)


@app.task  # type: ignore[untyped-decorator]  # ships no types
def warm_up() -> None:
    """Connect this process to the database before the clock runs."""
    with Session(engine()) as session:
        session.execute(select(1))
        time.sleep(0.05)
