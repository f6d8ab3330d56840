"""`bulkport jobs …`: inspects and controls background jobs."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer

from bulkport.app import Bulkport
from bulkport.cli.commands.target import Target, fail, load, plain_errors
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.job import JobState
from bulkport.jobs.port.control import Effect, OrderResult
from bulkport.jobs.port.details import JobStack, JobSummary
from bulkport.jobs.port.query import JobQuery

T = TypeVar("T")

jobs_app = typer.Typer()

_State = Annotated[list[JobState] | None, typer.Option("--state", help="Only jobs in this state; repeatable.")]
_Task = Annotated[list[str] | None, typer.Option(help="Only jobs of this task; repeatable.", show_default=False)]
_Queue = Annotated[list[str] | None, typer.Option(help="Only jobs of this queue; repeatable.", show_default=False)]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one job per line.")]
_WATCHED = 200
_MOST_WAIT_SECONDS = 15
_Ids = Annotated[list[str], typer.Argument(metavar="JOB...", help="Job ids.", show_default=False)]
_Reason = Annotated[str | None, typer.Option(help="Recorded in the job's history.", show_default=False)]

ACTOR = "bulkport command"
"""Who the histories of jobs and queues say it was."""


def run(target: str, use: Callable[[Bulkport], Awaitable[T]]) -> T:
    async def connected() -> T:
        bulkport = load(target)
        async with bulkport.connect():
            return await use(bulkport)

    with plain_errors(target):
        return asyncio.run(connected())
    raise AssertionError  # errors end the command


@jobs_app.command("list")
def list_jobs(
    target: Target,
    *,
    state: _State = None,
    task: _Task = None,
    queue: _Queue = None,
    user: Annotated[
        list[str] | None, typer.Option(help="Only jobs of this user; repeatable.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only jobs with this tag; repeatable.", show_default=False)
    ] = None,
    all_tags: Annotated[bool, typer.Option("--all-tags", help="Only jobs with each --tag, not any.")] = False,
    text: Annotated[str | None, typer.Option(help="Part of the arguments or the error.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: _AsJson = False,
) -> None:
    """List jobs, newest first."""
    query = JobQuery(
        states=state or (),
        task=task or None,
        queue=queue or None,
        user_id=user or None,
        tag=tag or None,
        has_all_tags=all_tags,
        text=text,
    )
    page = run(target, lambda bulkport: bulkport.search(query, limit=limit))
    for job in page.items:
        typer.echo(_line_of_json(job) if as_json else _line(job))
    if page.next_cursor is not None and not as_json:
        typer.echo("… and older jobs; add --limit or filters", err=True)
    if not page.items:
        typer.echo("No matching jobs.", err=True)


@jobs_app.command()
def show(target: Target, job_id: Annotated[str, typer.Argument(metavar="JOB", help="Job id.")]) -> None:
    """Print a job with its attempts and history, as JSON."""
    details = run(target, lambda bulkport: bulkport.details(BackgroundJobId(job_id)))
    if details is None:
        fail(f"Job {job_id} not found.")
    else:
        typer.echo(json.dumps(asdict(details), indent=2, default=str, ensure_ascii=False))


@jobs_app.command()
def stack(
    target: Target,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Job id.")],
    *,
    seconds: Annotated[
        float, typer.Option("--profile", min=0, max=60, help="Look for so many seconds, and print a profile.")
    ] = 0.0,
) -> None:
    """Print the code that a running job is in; with --profile, stacks with their samples for a flame graph."""

    async def read(bulkport: Bulkport) -> JobStack | None:
        job = BackgroundJobId(job_id)
        if not await bulkport.ask_stack(job, seconds=seconds, actor=ACTOR):
            return None
        end = time.monotonic() + seconds + _MOST_WAIT_SECONDS
        while True:
            details = await bulkport.details(job)
            if details is None or details.stack is None or details.stack.taken_at is not None:
                return None if details is None else details.stack
            if time.monotonic() > end:
                fail(f"The worker of job {job_id} did not answer within {_MOST_WAIT_SECONDS} seconds.")
            await asyncio.sleep(0.2)

    found = run(target, read)
    if found is None or not found.stack:
        fail(f"Job {job_id} is not running.")
    else:
        typer.echo((found.profile if seconds else found.stack) or "", nl=False)


@jobs_app.command()
def watch(
    target: Target,
    *,
    state: _State = None,
    task: _Task = None,
    queue: _Queue = None,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between refreshes.")] = 1.0,
    as_json: _AsJson = False,
) -> None:
    """Print jobs as they change, until Ctrl-C."""
    query = JobQuery(states=state or (), task=task or None, queue=queue or None)

    async def follow(bulkport: Bulkport) -> None:
        seen: dict[str, tuple[JobState, int]] = {}
        is_first = True
        while True:
            page = await bulkport.search(query, limit=_WATCHED)
            for job in reversed(page.items):
                now = (job.state, job.runs)
                if seen.get(job.id) != now and not is_first:
                    typer.echo(_line_of_json(job) if as_json else _line(job))
                seen[job.id] = now
            is_first = False
            known = {job.id for job in page.items}
            seen = {job_id: value for job_id, value in seen.items() if job_id in known}
            await asyncio.sleep(every)

    try:
        run(target, follow)
    except KeyboardInterrupt:
        raise typer.Exit from None


@jobs_app.command()
def retry(target: Target, job_ids: _Ids, *, reason: _Reason = None) -> None:
    """Run finished jobs again."""
    _each(target, job_ids, lambda bulkport, job: bulkport.requeue(job, reason=reason, actor=ACTOR))


@jobs_app.command()
def cancel(target: Target, job_ids: _Ids, *, reason: _Reason = None) -> None:
    """Cancel jobs: waiting ones at once; running ones are asked to stop."""
    _each(target, job_ids, lambda bulkport, job: bulkport.cancel(job, reason=reason, actor=ACTOR))


@jobs_app.command("run-now")
def run_now(target: Target, job_ids: _Ids, *, reason: _Reason = None) -> None:
    """Run scheduled and retrying jobs now."""
    _each(target, job_ids, lambda bulkport, job: bulkport.run_now(job, reason=reason, actor=ACTOR))


@jobs_app.command()
def delete(target: Target, job_ids: _Ids, *, reason: _Reason = None) -> None:
    """Cancel jobs and take finished ones out of the lists; retention removes them later."""
    _each(target, job_ids, lambda bulkport, job: bulkport.delete(job, reason=reason, actor=ACTOR))


@jobs_app.command("retry-all")
def retry_all(
    target: Target, *, state: _State = None, task: _Task = None, queue: _Queue = None, reason: _Reason = None
) -> None:
    """Run all matching jobs again; by default all failed jobs."""
    query = JobQuery(states=state or (JobState.FAILED,), task=task or None, queue=queue or None)
    summary = run(target, lambda bulkport: bulkport.requeue_all(query, reason=reason, actor=ACTOR))
    typer.echo(str(summary) or "No matching jobs.")


@jobs_app.command()
def stats(target: Target) -> None:
    """Print statistics of all jobs, as JSON."""
    numbers = run(target, lambda bulkport: bulkport.statistics())
    typer.echo(json.dumps(asdict(numbers), indent=2, default=str))


def _each(
    target: str, job_ids: list[str], order: Callable[[Bulkport, BackgroundJobId], Awaitable[OrderResult]]
) -> None:
    async def all_of(bulkport: Bulkport) -> list[OrderResult]:
        return [await order(bulkport, BackgroundJobId(job_id)) for job_id in job_ids]

    results = run(target, all_of)
    for result in results:
        repeated = f" as {result.new_job_id}" if result.new_job_id else ""
        effect = "not found" if result.effect is Effect.UNKNOWN else result.effect.value
        typer.echo(f"{result.job_id}: {effect}{repeated}")
    if not all(result.effect.is_done for result in results):
        raise typer.Exit(1)


def _line(job: JobSummary) -> str:
    error = f"  {job.error_type}: {job.error}" if job.error_type else ""
    return f"{job.id:>8}  {job.state:<10}  {job.created_at:%Y-%m-%d %H:%M:%S}  {job.queue}  {job.task}{error}"


def _line_of_json(job: JobSummary) -> str:
    values: dict[str, Any] = asdict(job)
    return json.dumps(values, default=str, ensure_ascii=False)
