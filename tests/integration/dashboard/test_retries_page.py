"""What waits for its next attempt."""

import asyncio

from dashboard_forms import operating

from bulkport.jobs import JobState


async def test_retrying_jobs_show_why_and_can_be_retried_now(database_url: str) -> None:
    async with operating(database_url) as operator:
        site = operator.site
        assert "No retrying jobs" in await operator.page("retries")
        first, second = [
            job.id for job in await site.jobs.enqueue_many([site.flaky.call(f"host-{n}") for n in range(2)])
        ]
        await site.jobs.enqueue(site.send_report, "ada")
        async with site.worker():
            await site.reaches(first, JobState.RETRYING)
            await site.reaches(second, JobState.RETRYING)
        assert set(await operator.rows("retries")) == {int(first), int(second)}
        await site.jobs.reschedule(first, in_=5)
        assert await operator.rows("retries") == [int(first), int(second)]
        await site.jobs.reschedule(first, in_=9_000)
        # What is due next is the first.
        assert await operator.rows("retries") == [int(second), int(first)]
        assert await operator.rows("retries?order=desc") == [int(first), int(second)]
        assert await operator.rows("retries?task=flaky") == [int(second), int(first)]
        page = await operator.page("retries")
        assert "ConnectionError: host-1" in page

        async with asyncio.timeout(60):
            # Counts are shared by all looks of a second.
            while 'Retries<span class="count hot">2</span>' not in await operator.page("retries"):
                await asyncio.sleep(0.05)
        assert 'data-tick="ago">in ' in page
        assert await operator.rows("retries?text=host-1&state=failed") == [int(second)]
        back = "retries?text=host-1"
        assert await operator.said("jobs/run-now", {"all": "retries"}, back=back) == "1 job queued to run now."
        assert operator.question == "Run 1 retrying job (text: host-1) now?"
        assert await operator.rows("retries") == [int(first)]
        assert await operator.rows("jobs?state=enqueued") == [int(second)]
        said = await operator.said("jobs/run-now", {"id": [first, second]}, back="retries")
        assert said == "1 job queued to run now, 1 already waiting."
