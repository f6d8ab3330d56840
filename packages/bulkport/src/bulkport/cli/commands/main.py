"""The command `bulkport` itself."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

import bulkport as library
from bulkport.cli.commands.attention import attention
from bulkport.cli.commands.dashboard import dashboard
from bulkport.cli.commands.mcp import mcp
from bulkport.cli.commands.target import Target, fail, load, plain_errors
from bulkport.cli.lazy_group import lazy_group

if TYPE_CHECKING:
    import psycopg

    from bulkport.app import Bulkport
    from bulkport.diagnosis import Finding
    from bulkport.imports.declaration.mistakes import Mistake


def _jobs() -> typer.Typer:
    from bulkport.cli.commands.jobs import jobs_app  # slow to import

    return jobs_app


def _queues() -> typer.Typer:
    from bulkport.cli.commands.queues import queues_app

    return queues_app


def _tasks() -> typer.Typer:
    from bulkport.cli.commands.tasks import tasks_app

    return tasks_app


def _servers() -> typer.Typer:
    from bulkport.cli.commands.queues import servers_app

    return servers_app


app = typer.Typer(
    name="bulkport",
    help="Manage an application that uses Bulkport: migrations, workers, checks, jobs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(lazy_group(_jobs, help_text="Inspect and control background jobs."), name="jobs")
app.add_typer(lazy_group(_queues, help_text="List, pause, resume, limit and weigh queues."), name="queues")
app.add_typer(lazy_group(_tasks, help_text="List tasks, pause and resume one."), name="tasks")
app.add_typer(lazy_group(_servers, help_text="List worker servers, and quiet or stop them."), name="servers")
app.command()(attention)
app.command()(dashboard)
app.command()(mcp)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(library.__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def worker(
    target: Target,
    *,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Concurrent jobs; default: the application's setting, or 20.")
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option(help="A queue to serve; repeatable. Default: all.", show_default=False)
    ] = None,
    heavy: Annotated[
        bool,
        typer.Option(
            " /--no-heavy",
            help="Leave heavy tasks, such as imports of more than 200 rows, to other workers.",
            show_default=False,
        ),
    ] = True,
) -> None:
    """Run imports and jobs until Ctrl-C or SIGTERM. Any number may run, on any machine."""
    from bulkport.jobs.worker import run_until_signal  # slow to import

    with plain_errors(target):
        bulkport = load(target)
        settings = bulkport.worker_settings
        if concurrency is not None:
            settings = replace(settings, concurrency=concurrency)
        if not heavy:
            settings = replace(settings, heavy=False)
        run_until_signal(lambda stop: bulkport.run_worker(stop, queues=queue or None, settings=settings))


@app.command()
def migrate(
    target: Target,
    *,
    to: Annotated[int | None, typer.Option(help="Target version; default: the newest.", show_default=False)] = None,
    down: Annotated[
        bool, typer.Option("--down", help="Migrate down to --to (default: 0). Dropped tables lose their data.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it.")] = False,
    start: Annotated[
        int | None,
        typer.Option(
            "--from",
            help="With --sql: current version of the schema. Default: 0 (no tables yet); with --down, the newest.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Migrate Bulkport's tables to the newest version."""
    from bulkport import migrations  # slow to import

    with plain_errors(target):
        bulkport = load(target)
        schema = bulkport.schema
        if sql:
            if down:
                typer.echo(migrations.downgrade_sql(to or 0, start=start, schema=schema))
            else:
                typer.echo(migrations.upgrade_sql(to, start=start or 0, schema=schema))
            return
        if start is not None:
            fail("--from requires --sql: a database knows its own version.")
        with _connected(bulkport) as connection:
            before = migrations.current(connection, schema=schema)
            if down:
                after = migrations.downgrade(connection, to or 0, schema=schema)
            else:
                after = migrations.upgrade(connection, to, schema=schema)
        if before == after:
            hint = " To migrate down to it, add --down." if to is not None and to < after and not down else ""
            typer.echo(f"Schema {schema}: version {after}; nothing to do.{hint}")
        else:
            typer.echo(f"Schema {schema}: version {before} -> {after}.")


@app.command()
def doctor(target: Target) -> None:
    """Check database, settings, permissions, indexes, clock, tables and declarations.

    Prints one line per problem, with the remedy. Exit code 1 if something is wrong; warnings do not count.
    """
    with plain_errors(target):
        bulkport = load(target)
        mistakes, findings = asyncio.run(_examine(bulkport))
        for found in (*mistakes, *findings):
            typer.echo(str(found), err=True)
        if mistakes or any(finding.is_wrong for finding in findings):
            raise typer.Exit(1)
        count = len(bulkport.resources)
        typer.echo(f"No problems found: {count} resource{'s' * (count != 1)}, schema {bulkport.schema}.")


async def _examine(bulkport: "Bulkport") -> "tuple[list[Mistake], list[Finding]]":
    """What is wrong with the declarations, and with the deployment."""
    import psycopg  # slow to import

    from bulkport.diagnosis import diagnose

    mistakes = await bulkport.check()
    async with await psycopg.AsyncConnection.connect(
        bulkport.database_url, autocommit=True, connect_timeout=10, prepare_threshold=None
    ) as connection:
        return mistakes, await diagnose(connection, connections=bulkport.most_connections)


def _connected(bulkport: "Bulkport") -> "psycopg.Connection[tuple[object, ...]]":
    import psycopg  # slow to import

    from bulkport.database import cursor_classes
    from bulkport.pools import write_iso_dates_sync

    connection = psycopg.connect(
        bulkport.database_url,
        autocommit=True,
        cursor_factory=cursor_classes(bulkport.schema)[0],
        prepare_threshold=None,
    )
    write_iso_dates_sync(connection)
    return connection


def main() -> None:
    """Entry point of the command `bulkport`."""
    app()
