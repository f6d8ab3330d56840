"""The tutorial loop: read a CSV file, `session.add` and `session.commit` for each row.

Run as `python -m bench.peers.orm_loop URL FILE`; prints the seconds of the loop (imports, connecting and the first
query are not counted).
"""

import csv
import sys
import time
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The mapping's base."""


class Platform(Base):
    """One platform."""

    __tablename__ = "platforms"
    __table_args__ = {"schema": "peer"}  # noqa: RUF012 (SQLAlchemy's own spelling)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


def sqlalchemy_url(database_url: str) -> str:
    """The URL with SQLAlchemy's name for psycopg 3."""
    return database_url.replace("postgresql://", "postgresql+psycopg://", 1)


def main() -> None:
    """Time the loop."""
    engine = create_engine(sqlalchemy_url(sys.argv[1]))
    with Path(sys.argv[2]).open(encoding="utf-8", newline="") as file, Session(engine) as session:
        session.execute(select(1))
        session.commit()
        started = time.perf_counter()
        for row in csv.DictReader(file):
            session.add(Platform(platform_name=row["platformName"]))
            session.commit()
        print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
