"""A job as Markdown, to paste into an issue: call, state, error and traceback."""

from collections.abc import Sequence

from bulkport.dashboard.core.formatting import exact
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.pages.job_call import readable_call
from bulkport.dashboard.pages.job_timeline import Attempt
from bulkport.jobs.port.details import JobDetails


def job_as_markdown(details: JobDetails, masking: Masking, attempts: Sequence[Attempt]) -> str:
    """The text, in English whatever the language of the pages: it is read by others."""
    job = details.job
    facts = [
        f"- State: {job.state.value}",
        f"- Queue: `{job.queue}`",
        f"- Created: {exact(job.created_at)}",
        f"- Attempts: {job.runs}",
    ]
    if job.user_id:
        facts.append(f"- User: `{job.user_id}`")
    if job.server:
        facts.append(f"- Server: `{job.server}`")
    parts = [f"## Job {job.id}: `{job.task}`", "\n".join(facts), _fenced(readable_call(job, masking), "python")]
    failed = next((attempt for attempt in attempts if attempt.error), None)
    if failed is not None:
        parts.append(f"**Attempt {failed.run.run}: {failed.error}**")
        if failed.traceback is not None:
            parts.append(_fenced(failed.traceback.text.strip(), "pytb"))
    return "\n\n".join(parts)


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
