"""`bulkport tasks …`: look at tasks, pause and resume one."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from bulkport.app import Bulkport
from bulkport.cli.commands.jobs import ACTOR, run
from bulkport.cli.commands.target import Target
from bulkport.jobs.port.metrics import PausedTask, TaskStatistics

tasks_app = typer.Typer()

_Task = Annotated[str, typer.Argument(metavar="TASK", help="Name of the task.", show_default=False)]


@tasks_app.command("list")
def list_tasks(
    target: Target, *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")] = False
) -> None:
    """List tasks with their jobs of the last 24 hours, and those that are paused."""

    async def read(bulkport: Bulkport) -> tuple[list[TaskStatistics], list[PausedTask]]:
        return await bulkport.task_statistics(), await bulkport.paused_tasks()

    found, all_paused = run(target, read)
    paused = {one.task: one for one in all_paused}
    counts = {one.task: one for one in found}
    for name in sorted({*counts, *paused}):
        one, pause = counts.get(name), paused.get(name)
        if as_json:
            members = {"task": name, **({} if one is None else asdict(one)), "paused": pause and asdict(pause)}
            typer.echo(json.dumps(members, default=str))
            continue
        state = ""
        if pause is not None:
            by = f" by {pause.paused_by}" if pause.paused_by else ""
            state = f"  paused{by}: {pause.note}" if pause.note else f"  paused{by}"
        succeeded, failed = (0, 0) if one is None else (one.totals.succeeded, one.totals.failed)
        active = 0 if one is None else one.unfinished
        typer.echo(f"{name:<32} {active:>8} active  {succeeded:>8} succeeded  {failed:>6} failed{state}")


@tasks_app.command()
def pause(
    target: Target,
    task: _Task,
    *,
    note: Annotated[str | None, typer.Option(help="Why; shown on the dashboard.", show_default=False)] = None,
) -> None:
    """Pause a task: no job of it starts, in any queue, until it is resumed. Running jobs finish."""
    run(target, lambda bulkport: bulkport.pause_task(task, actor=ACTOR, note=note))
    typer.echo(f"Paused {task}. Running jobs will finish.")


@tasks_app.command()
def resume(target: Target, task: _Task) -> None:
    """Resume a paused task."""
    run(target, lambda bulkport: bulkport.resume_task(task, actor=ACTOR))
    typer.echo(f"Resumed {task}.")
