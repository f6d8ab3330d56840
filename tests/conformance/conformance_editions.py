"""Tasks of an older and of a newer version of an application, which run side by side for a while."""

from typing import Literal

from conformance_diary import Diary

from background_jobs import BackgroundJobs
from bulkport.jobs import JobContext

Edition = Literal["older", "newer"]


def declare(jobs: BackgroundJobs, diary: Diary, edition: str) -> None:
    """The newer version has a task that the older one lacks, and a task of both takes a parameter more."""
    if edition == "older":

        @jobs.task(name="bill")
        async def bill(context: JobContext, amount: int) -> str:
            diary.note(context.job_id, context.attempt, edition)
            return f"{amount}"

        @jobs.task(name="dropped")
        async def dropped(context: JobContext) -> str:
            diary.note(context.job_id, context.attempt, edition)
            return edition

        return

    @jobs.task(name="bill")
    async def bill_with_currency(context: JobContext, amount: int, currency: str = "EUR") -> str:
        diary.note(context.job_id, context.attempt, edition)
        return f"{amount} {currency}"

    @jobs.task(name="new")
    async def new(context: JobContext) -> str:
        diary.note(context.job_id, context.attempt, edition)
        return edition
