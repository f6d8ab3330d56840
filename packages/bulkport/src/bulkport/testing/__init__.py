"""For tests of applications: run what is queued, look at what was enqueued, import files without a server.

::

    async with bulkport.connect():
        await sign_up(client)
        await assert_enqueued(bulkport, welcome, "Acme")
        drained = await drain(bulkport)
        assert drained.succeeded == 1

With no database at all, `inline` runs each job when it is enqueued, and `job_context` makes what a task's function
takes. Fixtures for pytest, a PostgreSQL among them, come with the package: see `bulkport.testing.plugin`.
"""

from bulkport.testing.context import RecordedContext, job_context
from bulkport.testing.drain import Drained, advance, drain
from bulkport.testing.enqueued import assert_enqueued, assert_not_enqueued, enqueued
from bulkport.testing.files import ImportResult, import_file
from bulkport.testing.inline import InlineJob, InlineJobs, inline

__all__ = [
    "Drained",
    "ImportResult",
    "InlineJob",
    "InlineJobs",
    "RecordedContext",
    "advance",
    "assert_enqueued",
    "assert_not_enqueued",
    "drain",
    "enqueued",
    "import_file",
    "inline",
    "job_context",
]
