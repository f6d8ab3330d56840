"""An application that two versions of Bulkport run at one time: `bulkport worker version_shop:bulkport`."""

import os

from pydantic import BaseModel

import bulkport as library
from bulkport import Bulkport, RetryPolicy, WorkerSettings

NEVER = RetryPolicy(max_attempts=1)


class Book(BaseModel):
    """What is imported."""

    title: str


BOOKS = library.Resource(name="books", label="Book", label_field="title", model=Book, table="books")
bulkport = Bulkport(os.environ["DATABASE_URL"], resources=[BOOKS], worker=WorkerSettings(concurrency=4))


@bulkport.task(name="who")
async def who() -> str:
    """Where the library is that runs this."""
    return os.path.dirname(library.__file__)


@bulkport.task(name="fail", retry=NEVER)
async def fail() -> None:
    raise ValueError("as asked")
