"""The test kit runs what is queued and tells what was enqueued."""

import pytest

from bulkport import Bulkport, JobState
from bulkport.testing import assert_enqueued, drain


async def test_jobs_are_found_and_run(database_url: str) -> None:
    bulkport = Bulkport(database_url)

    @bulkport.task(name="testing.add")
    async def add(left: int, right: int) -> int:
        return left + right

    async with bulkport.connect():
        job_id = await bulkport.enqueue(add, 1, right=2)
        assert (await assert_enqueued(bulkport, add, 1, 2)).id == job_id
        with pytest.raises(AssertionError, match=r"no job of testing\.add waits"):
            await assert_enqueued(bulkport, add, 3, 4)
        await drain(bulkport)
        job = await bulkport.get(job_id)
        assert job is not None
        assert (job.state, job.result) == (JobState.SUCCEEDED, 3)
