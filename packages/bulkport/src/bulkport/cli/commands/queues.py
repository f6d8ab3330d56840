"""`bulkport queues …` and `bulkport servers …`: inspect and control queues and worker servers."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated

import typer

from bulkport.app import Bulkport
from bulkport.cli.commands.jobs import ACTOR, run
from bulkport.cli.commands.target import Target, fail

queues_app = typer.Typer()
servers_app = typer.Typer()

_Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.", show_default=False)]
_Server = Annotated[str, typer.Argument(metavar="SERVER", help="Name of the server.", show_default=False)]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


@queues_app.command("list")
def list_queues(target: Target, *, as_json: _AsJson = False) -> None:
    """List queues with their waiting and running jobs."""
    for queue in run(target, lambda bulkport: bulkport.queues()):
        if as_json:
            typer.echo(json.dumps(asdict(queue), default=str))
            continue
        state = "active" if queue.servers else "no workers"
        if queue.paused_at is not None:
            by = f" by {queue.paused_by}" if queue.paused_by else ""
            state = f"paused{by}: {queue.paused_note}" if queue.paused_note else f"paused{by}"
        limit = f" of {queue.concurrency_limit}" if queue.concurrency_limit else ""
        state = state if queue.weight == 1 else f"{state}, weight {queue.weight:g}"
        typer.echo(f"{queue.name:<24} {queue.waiting:>8} waiting  {queue.running:>5}{limit} running  {state}")


@queues_app.command()
def pause(
    target: Target,
    queue: _Queue,
    *,
    note: Annotated[str | None, typer.Option(help="Why; shown on the dashboard.", show_default=False)] = None,
) -> None:
    """Pause a queue: no job of it starts until it is resumed. Running jobs finish."""
    run(target, lambda bulkport: bulkport.pause_queue(queue, actor=ACTOR, note=note))
    typer.echo(f"Paused {queue}. Running jobs will finish.")


@queues_app.command()
def resume(target: Target, queue: _Queue) -> None:
    """Resume a paused queue."""
    run(target, lambda bulkport: bulkport.resume_queue(queue, actor=ACTOR))
    typer.echo(f"Resumed {queue}.")


@queues_app.command()
def limit(
    target: Target,
    queue: _Queue,
    most: Annotated[int, typer.Argument(metavar="JOBS", min=0, help="Concurrent jobs on all servers; 0: no limit.")],
) -> None:
    """Limit a queue's concurrent jobs, across all servers."""
    run(target, lambda bulkport: bulkport.limit_queue(queue, most or None, actor=ACTOR))
    typer.echo(f"Limited {queue} to {most} concurrent jobs." if most else f"Removed the limit on {queue}.")


@queues_app.command()
def weigh(
    target: Target,
    queue: _Queue,
    weight: Annotated[float, typer.Argument(min=0.001, max=1000, help="Its share of the claims; the default is 1.")],
) -> None:
    """Set a queue's share of job starts. With weights 3 and 1, three of four jobs start from the first queue."""
    run(target, lambda bulkport: bulkport.weigh_queue(queue, weight, actor=ACTOR))
    typer.echo(f"Gave {queue} a weight of {weight:g}.")


@servers_app.command("list")
def list_servers(target: Target, *, as_json: _AsJson = False) -> None:
    """List worker servers with their busy slots."""
    servers = run(target, lambda bulkport: bulkport.servers())
    if not servers and not as_json:
        typer.echo("No workers.", err=True)
    for server in servers:
        if as_json:
            typer.echo(json.dumps(asdict(server), default=str))
            continue
        state = "not responding" if server.is_silent else server.wanted or "online"
        typer.echo(f"{server.name:<32} {state:<14} {len(server.running)} of {server.concurrency} slots busy")


@servers_app.command()
def quiet(target: Target, server: _Server) -> None:
    """Quiet a server: it starts no more jobs; running jobs finish."""
    _command(target, server, lambda bulkport: bulkport.quiet_server(server, actor=ACTOR))
    typer.echo(f"Asked {server} to start no more jobs.")


@servers_app.command("resume")
def resume_server(target: Target, server: _Server) -> None:
    """Resume a quiet server."""
    _command(target, server, lambda bulkport: bulkport.resume_server(server, actor=ACTOR))
    typer.echo(f"Resumed {server}.")


@servers_app.command()
def stop(target: Target, server: _Server) -> None:
    """Stop a server, as SIGTERM does. Its supervisor may restart it."""
    _command(target, server, lambda bulkport: bulkport.stop_server(server, actor=ACTOR))
    typer.echo(f"Asked {server} to stop.")


def _command(target: str, server: str, command: Callable[[Bulkport], Awaitable[bool]]) -> None:
    if not run(target, command):
        fail(f"Server {server} is not running, or is stopping.")
