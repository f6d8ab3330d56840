"""`commandapi db`: migrations."""

import sys
from typing import Annotated

import typer

from commandapi.cli.quiet import quiet_settings

app = typer.Typer(no_args_is_help=True, help="Migrate the database.")


@app.command()
def upgrade() -> None:
    """Migrate the database to the newest migration of this program."""
    from commandapi import migrations  # noqa: PLC0415  # slow to import
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    settings = quiet_settings()
    with provide_database(settings) as database:
        before = database.migration_state()
        after = migrations.upgrade(database.url)
        database.fit_row_security(settings)
    if before.is_current:
        typer.echo(f"already at {after.current}")
    else:
        typer.echo(f"{before.current or '(none)'} -> {after.current}")


@app.command()
def current() -> None:
    """Print the database's current migration and the newest one."""
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    with provide_database(quiet_settings()) as database:
        state = database.migration_state()
    typer.echo(f"{state.current or '(none)'} ({'head' if state.is_current else f'head is {state.head}'})")


@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(
    revision: Annotated[
        str, typer.Argument(help="Target: a revision, -2 for two steps back, or base to drop every table.")
    ] = "-1",
) -> None:
    """Undo migrations, by default the last one. Tables that they created are dropped with their data."""
    from commandapi import migrations  # noqa: PLC0415
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    with provide_database(quiet_settings()) as database:
        before = database.migration_state()
        if before.current is None:
            typer.echo("nothing to undo")
            return
        if sys.stdin.isatty():
            typer.confirm(f"Undo {before.current} and drop its tables with their data?", abort=True, err=True)
        after = migrations.downgrade(database.url, revision)
    typer.echo(f"{before.current} -> {after.current or '(none)'}")
